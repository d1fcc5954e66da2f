// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/vishvananda/netlink"

	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Ports names the hosts on the bridge by their ports' interface indexes.
type Ports struct {
	lan   *space
	known map[int]string
}

// OpenPorts returns the bridge's ports.
func OpenPorts(l topo.Lab) (*Ports, error) {
	lan, err := open(l.Netns(topo.LAN))
	if err != nil {
		return nil, err
	}
	return &Ports{lan: lan, known: map[int]string{}}, nil
}

// Close lets go of the namespace.
func (p *Ports) Close() { p.lan.close() }

// Name returns the host behind the port, or "" for an interface that is not a
// port. A host that was powered on anew has a new port: unknown ones are
// looked up.
func (p *Ports) Name(index int) string {
	if name, ok := p.known[index]; ok {
		return name
	}
	name := ""
	if l, err := p.lan.nl.LinkByIndex(index); err == nil {
		if _, isVeth := l.(*netlink.Veth); isVeth {
			name = l.Attrs().Name
		}
	}
	p.known[index] = name
	return name
}
