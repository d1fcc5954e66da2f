// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// epoch is a creation time; tests never read a clock.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newCluster returns a cluster with the named nodes, pool p and an advertisement of it.
func newCluster(services ...lb.Service) lb.Snapshot {
	s := lb.Snapshot{
		Services: services,
		Pools: []lb.Pool{{Name: "p", Ranges: []lb.Range{
			newRange("192.0.2.0", "192.0.2.255"), newRange("2001:db8::", "2001:db8::ff"),
		}}},
		L2: []lb.L2Advertisement{{Name: "ad", Pools: []string{"p"}}},
	}
	for _, n := range []string{"node-a", "node-b", "node-c", "node-d", "node-e"} {
		s.Nodes = append(s.Nodes, lb.Node{Name: n, Labels: map[string]string{"name": n}})
	}
	return s
}

func newRange(first, last string) lb.Range {
	return lb.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

// newService returns a Service in namespace ns with addresses and an endpoint on node-a.
func newService(name string, addrs ...string) lb.Service {
	s := lb.Service{
		Key: lb.Key{Namespace: "ns", Name: name}, Created: epoch, Labels: map[string]string{"name": name},
		Endpoints: lb.Endpoints{Known: true, Usable: 1, Local: map[string]int{"node-a": 1}},
	}
	for _, a := range addrs {
		s.Assigned = append(s.Assigned, netip.MustParseAddr(a))
	}
	return s
}

// everyone is the view in which all nodes of newCluster are alive.
func everyone() lb.View { return alive("node-a", "node-b", "node-c", "node-d", "node-e") }

func alive(names ...string) lb.View { return lb.View{Known: true, Members: names} }

// onNodes selects nodes by name.
func onNodes(names ...string) lb.Selectors {
	slices.Sort(names)
	return lb.Selectors{{{Key: "name", Op: lb.In, Values: names}}}
}

// show writes an announcement in one line: "addr services[ on interfaces]".
func show(d Desired) string {
	var lines []string
	for _, a := range d.L2 {
		var keys []string
		for _, k := range a.Services {
			keys = append(keys, k.Name)
		}
		line := a.Addr.String() + " " + strings.Join(keys, ",")
		if len(a.Interfaces) > 0 {
			line += " on " + strings.Join(a.Interfaces, ",")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// showWhy writes the explanations of a Service: "addr owner reason".
func showWhy(d Desired, name string) string {
	var lines []string
	for _, e := range d.Why {
		if e.Service.Name == name {
			lines = append(lines, fmt.Sprintf("%s %s %s", e.Addr, e.Owner, e.Reason))
		}
	}
	return strings.Join(lines, "; ")
}

// owners returns who announces each address, asking every node of the cluster.
func owners(s lb.Snapshot, v lb.View) map[netip.Addr][]string {
	out := map[netip.Addr][]string{}
	for _, n := range s.Nodes {
		for _, a := range ForNode(n.Name, s, v).L2 {
			out[a.Addr] = append(out[a.Addr], n.Name)
		}
	}
	return out
}
