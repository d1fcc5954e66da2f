// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// text writes a snapshot for reading. Fields that say nothing are left out.
func text(s lb.Snapshot, problems []lb.Problem) string {
	var w writer
	for i := range s.Services {
		w.service(&s.Services[i])
	}
	for _, k := range s.Released {
		w.line("released %s", k)
	}
	for i := range s.Pools {
		w.pool(&s.Pools[i])
	}
	for _, n := range s.Nodes {
		w.line("node %s", n.Name)
		w.flag("networkUnavailable", n.NetworkUnavailable)
		w.flag("excludedFromLB", n.ExcludedFromLB)
		w.flag("leaving", n.Leaving)
		if n.BGP != (lb.NodeBGP{}) {
			w.line("  bgp as %d, router ID %s, sources %s %s", n.BGP.ASN, n.BGP.RouterID, n.BGP.Source4, n.BGP.Source6)
		}
		w.field("labels", n.Labels)
	}
	for i := range s.L2 {
		w.l2(&s.L2[i])
	}
	for i := range s.Peers {
		w.peer(&s.Peers[i])
	}
	for i := range s.BGP {
		w.bgp(&s.BGP[i])
	}
	for _, p := range problems {
		w.line("problem %s %s %s %s ignored=%v", p.Reason, p.Kind, p.Object, p.Field, p.Ignored)
		w.line("  %s", p.Message)
	}
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...) // a Builder never fails
}

func (w *writer) flag(name string, on bool) {
	if on {
		w.line("  %s", name)
	}
}

// field writes a value that is not the zero value.
func (w *writer) field(name string, value any) {
	switch text := fmt.Sprint(value); text {
	case "", "0", "[]", "map[]", "0s":
	default:
		w.line("  %s %s", name, text)
	}
}

func (w *writer) service(s *lb.Service) {
	w.line("service %s", s.Key)
	w.field("labels", s.Labels)
	w.field("ports", s.Ports)
	w.field("families", s.Families)
	w.line("  policy %s", []string{"SingleStack", "PreferDualStack", "RequireDualStack"}[s.Policy])
	w.field("requestedAddrs", s.RequestedAddrs)
	w.field("requestedPool", s.RequestedPool)
	w.field("requestProblem", s.RequestProblem)
	w.field("sharingKey", s.SharingKey)
	w.field("backendKey", s.BackendKey)
	w.field("assigned", s.Assigned)
	w.field("assignedPool", s.AssignedPool)
	w.flag("assignedUnreadable", s.AssignedUnreadable)
	w.flag("localOnly", s.LocalOnly)
	if !s.Endpoints.Known {
		w.line("  endpoints unknown")
		return
	}
	w.line("  endpoints %d%s", s.Endpoints.Usable, counts(s.Endpoints.Local))
}

func counts(m map[string]int) string {
	var b strings.Builder
	for _, node := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s=%d", node, m[node])
	}
	return b.String()
}

func (w *writer) pool(p *lb.Pool) {
	w.line("pool %s", p.Name)
	w.field("labels", p.Labels)
	w.field("ranges", p.Ranges)
	w.flag("autoAssign", p.AutoAssign)
	w.flag("avoidBuggyIPs", p.AvoidBuggyIPs)
	w.flag("closed", p.Closed)
	if a := p.Allocation; a != nil {
		w.line("  allocation priority=%d anyNamespace=%v namespaces=%v services=%s",
			a.Priority, a.AnyNamespace, a.Namespaces, selectors(a.Services))
	}
	for _, q := range p.Quotas {
		w.line("  quota %d anyNamespace=%v namespaces=%v", q.Max, q.AnyNamespace, q.Namespaces)
	}
	w.field("reservationTime", p.ReservationTime)
	w.field("cooldownTime", p.CooldownTime)
	w.field("dualStackPartner", p.DualStackPartner)
	w.flag("preferColocate", p.PreferColocate)
}

func (w *writer) l2(ad *lb.L2Advertisement) {
	w.line("l2advertisement %s", ad.Name)
	w.line("  pools %v", ad.Pools)
	w.field("nodes", selectors(ad.Nodes))
	w.field("interfaces", ad.Interfaces)
	w.field("services", selectors(ad.Services))
	w.flag("withhold", ad.Withhold)
	for _, p := range ad.Preferred {
		w.line("  preferred %d %s", p.Weight, selector(p.Nodes))
	}
	if ad.Elects {
		w.line("  election %+v", ad.Election)
	}
}

func (w *writer) peer(p *lb.Peer) {
	w.line("peer %s", p.Name)
	w.line("  as %d -> %d%s", p.LocalAS(), p.PeerASN, p.Dynamic)
	if p.Unnumbered() {
		w.line("  interface %s", p.Interface)
	} else {
		w.line("  address %s", netip.AddrPortFrom(p.Address, p.Port))
	}
	w.field("listenPort", p.ListenPort)
	if p.Source.IsValid() {
		w.line("  source %s", p.Source)
	}
	if p.RouterID.IsValid() {
		w.line("  routerID %s", p.RouterID)
	}
	w.field("nodes", selectors(p.Nodes))
	w.field("vrf", p.VRF)
	w.field("holdTime", p.HoldTime)
	w.field("keepaliveTime", p.KeepaliveTime)
	w.field("connectTime", p.ConnectTime)
	w.field("password of bytes", len(p.Password))
	w.flag("gracefulRestart", p.GracefulRestart)
	w.flag("multiHop", p.MultiHop)
	w.flag("dualStack", p.DualStack)
	if p.BFD != nil {
		w.line("  bfd %+v", *p.BFD)
	}
}

func (w *writer) bgp(ad *lb.BGPAdvertisement) {
	w.line("bgpadvertisement %s", ad.Name)
	w.line("  pools %v", ad.Pools)
	w.line("  aggregation /%d /%d", ad.AggregationLength, ad.AggregationLengthV6)
	w.field("localPref", ad.LocalPref)
	w.field("communities", ad.Communities)
	w.field("med", ad.MED)
	w.field("prepend", int(ad.Prepend))
	w.field("bytes per second and endpoint", ad.LinkBandwidth)
	w.field("peers", ad.Peers)
	w.field("nodes", selectors(ad.Nodes))
	w.field("services", selectors(ad.Services))
}

func selectors(in lb.Selectors) string {
	var parts []string
	for _, s := range in {
		parts = append(parts, selector(s))
	}
	return strings.Join(parts, " or ")
}

func selector(s lb.Selector) string {
	parts := []string{}
	for _, r := range s {
		if r.Key == "" {
			return "{nothing}"
		}
		op := []string{"in", "notin", "exists", "doesnotexist"}[r.Op]
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Key, op, strings.Join(r.Values, ","))))
	}
	return "{" + strings.Join(parts, "; ") + "}"
}
