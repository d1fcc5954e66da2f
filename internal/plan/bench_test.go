// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// bigCluster has n Services, a tenth of them with externalTrafficPolicy Local and a tenth
// dual-stack, on the given number of nodes.
func bigCluster(n, nodes int) (lb.Snapshot, lb.View) {
	s := lb.Snapshot{
		Pools: []lb.Pool{{Name: "p", Ranges: []lb.Range{newRange("10.0.0.0", "10.255.255.255"), newRange("2001:db8::", "2001:db8::ffff")}}},
		L2: []lb.L2Advertisement{
			{Name: "ad", Pools: []string{"p"}},
			{Name: "eth1", Pools: []string{"p"}, Interfaces: []string{"eth1"}, Services: onNodes("s00001")},
		},
	}
	v := lb.View{Known: true}
	for i := range nodes {
		name := fmt.Sprintf("worker-%03d.example.org", i)
		s.Nodes = append(s.Nodes, lb.Node{Name: name})
		v.Members = append(v.Members, name)
	}
	for i := range n {
		svc := newService(fmt.Sprintf("s%05d", i))
		svc.Assigned = []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}
		svc.Endpoints.Local = map[string]int{s.Nodes[i%nodes].Name: 1, s.Nodes[(i+1)%nodes].Name: 2}
		switch i % 10 {
		case 0:
			svc.LocalOnly = true
		case 1:
			svc.Assigned = append(svc.Assigned, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)}))
		}
		s.Services = append(s.Services, svc)
	}
	return s, v
}

// BenchmarkForNode is the pass that every change costs: at most 10 ms for 10,000 Services.
func BenchmarkForNode(b *testing.B) {
	for _, nodes := range []int{3, 10, 200} {
		s, v := bigCluster(10_000, nodes)
		self := s.Nodes[0].Name
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			var p Planner
			p.ForNode(self, s, v)
			b.ReportAllocs()
			for b.Loop() {
				p.ForNode(self, s, v)
			}
		})
		b.Run(fmt.Sprintf("nodes=%d/first", nodes), func(b *testing.B) {
			for b.Loop() {
				ForNode(self, s, v)
			}
		})
	}
}

func BenchmarkTransitions(b *testing.B) {
	s, v := bigCluster(10_000, 3)
	before := ForNode(s.Nodes[0].Name, s, v)
	v.Members = v.Members[:2]
	after := ForNode(s.Nodes[0].Name, s, v)
	for b.Loop() {
		Transitions(before, after)
	}
}

// BenchmarkBGPForNode is what BGP adds to the pass, with two peers and without any.
func BenchmarkBGPForNode(b *testing.B) {
	s, _ := bigCluster(10_000, 10)
	self := s.Nodes[0].Name
	b.Run("layer 2 only", func(b *testing.B) {
		for b.Loop() {
			BGPForNode(self, s)
		}
	})
	s.BGP = []lb.BGPAdvertisement{{Name: "ad", Pools: []string{"p"}}}
	s.Peers = newBGPCluster().Peers
	b.Run("two peers", func(b *testing.B) {
		for b.Loop() {
			BGPForNode(self, s)
		}
	})
}
