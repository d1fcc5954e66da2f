// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/netip"

	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// PodNetns returns the namespace name of one process pod of a node.
func PodNetns(l topo.Lab, node, id string) string { return l.Netns(node + "-" + id) }

// NodePodNetns returns the namespaces of all process pods of a node.
func NodePodNetns(l topo.Lab, node string) ([]string, error) {
	return ListNetns(PodNetns(l, node, ""))
}

// CreatePod gives one pod of a node its own namespace with the given
// addresses, reached through the node. It is for pods that run real processes;
// pods that are only played share the node's pod namespace. Done twice it
// does nothing: a restarted kubelet finds its pods' namespaces in place.
func CreatePod(l topo.Lab, node, id string, addrs []netip.Addr) error {
	name := PodNetns(l, node, id)
	if NetnsExists(name) {
		return nil
	}
	if err := createHostNetns(name, false); err != nil {
		return err
	}
	h, err := open(l.Netns(node))
	if err != nil {
		return err
	}
	defer h.close()
	p, err := open(name)
	if err != nil {
		return err
	}
	defer p.close()
	link := "pod" + id
	h.delLink(link)
	h.veth(link, nil, p, lanLink, nil)
	h.up(link)
	p.up("lo")
	p.up(lanLink)
	n, _ := l.NodeNumber(node)
	for i, cidr := range l.PodCIDRs(n) {
		// The gateway is an address of the node's other pod link; the node
		// answers for it on this one too if it is IPv4, and needs it here as
		// well if it is IPv6.
		gw := topo.Gateway(cidr)
		if gw.Is6() {
			h.addr(link, single(gw))
		}
		h.route(route{dst: single(addrs[i]), dev: link, src: gw})
		p.addr(lanLink, single(addrs[i]))
		p.route(route{dst: single(gw), dev: lanLink})
		p.route(route{dst: anywhere(gw), via: gw, dev: lanLink})
	}
	return errors.Join(h.err, p.err)
}

// DeletePod removes what CreatePod made; the link goes with the namespace.
func DeletePod(l topo.Lab, node, id string) error {
	return DeleteNetns(PodNetns(l, node, id))
}
