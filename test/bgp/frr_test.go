// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// router is FRR in the namespace of a host.
type router struct {
	*frr.Router
	s *segment
}

// startFRR runs FRR with a configuration until the test ends.
func (s *segment) startFRR(host, config string) *router {
	s.t.Helper()
	r, err := frr.Start(s.t.Context(), frr.Options{Netns: s.ns(host), Dir: filepath.Join(s.dir, host), Config: config})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		r.Stop()
		if s.t.Failed() {
			s.t.Log(r.Said())
		}
	})
	return &router{Router: r, s: s}
}

// vtysh runs commands and returns their output.
func (f *router) vtysh(commands ...string) string {
	out, _ := f.Vtysh(context.Background(), commands...) // what went wrong is in the output
	return out
}

// configure changes the running configuration.
func (f *router) configure(lines ...string) {
	f.s.t.Helper()
	if err := f.Configure(f.s.t.Context(), lines...); err != nil {
		f.s.t.Fatal(err)
	}
}

func (f *router) stop(daemon string)   { f.signal(daemon, syscall.SIGSTOP) }
func (f *router) resume(daemon string) { f.signal(daemon, syscall.SIGCONT) }

func (f *router) signal(daemon string, sig syscall.Signal) {
	if err := f.Signal(daemon, sig); err != nil {
		f.s.t.Fatal(err)
	}
}

func (f *router) bfdPeers() []frr.BFDPeer {
	peers, _ := f.BFDPeers(context.Background()) // asked again, or what is missing is told
	return peers
}

// bfdStatus returns the status of FRR's session with a peer, "" when there is none.
func (f *router) bfdStatus(peer string) string {
	for _, p := range f.bfdPeers() {
		if strings.EqualFold(p.Peer, peer) {
			return p.Status
		}
	}
	return ""
}
