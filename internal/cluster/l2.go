// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// l2Table compiles the L2Advertisements.
type l2Table struct {
	ads memo[l2Advertisement]

	out      []lb.L2Advertisement
	problems []lb.Problem
}

// l2Advertisement is one L2Advertisement compiled, its pools not yet looked up.
type l2Advertisement struct {
	ad       lb.L2Advertisement
	names    []string
	labels   lb.Selectors
	problems []lb.Problem
}

func equalL2(a, b *l2Advertisement) bool { return reflect.DeepEqual(a, b) }

func compileL2(in *v1beta1.L2Advertisement) l2Advertisement {
	r := newReport("L2Advertisement", in)
	out := l2Advertisement{
		names:  sortedNames(r, "spec.ipAddressPools", in.Spec.IPAddressPools),
		labels: compileSelectors(r, "spec.ipAddressPoolSelectors", in.Spec.IPAddressPoolSelectors),
		ad: lb.L2Advertisement{
			Name:       in.Name,
			Nodes:      compileSelectors(r, "spec.nodeSelectors", in.Spec.NodeSelectors),
			Interfaces: sortedNames(r, "spec.interfaces", in.Spec.Interfaces),
			Services:   compileSelectors(r, "spec.serviceSelectors", in.Spec.ServiceSelectors),
			Withhold:   in.Spec.ConflictPolicy == v1beta1.ConflictWithhold,
		},
	}
	switch in.Spec.ConflictPolicy {
	case "", v1beta1.ConflictReport, v1beta1.ConflictWithhold:
	default:
		r.field("spec.conflictPolicy", "%q is neither Report nor Withhold; until it is corrected it counts as Report", in.Spec.ConflictPolicy)
	}
	for i, p := range in.Spec.PreferredNodeSelectors {
		path := index("spec.preferredNodeSelectors", i)
		if p.Weight < 1 || p.Weight > 100 {
			r.field(path+".weight", "weight %d is not between 1 and 100; until it is corrected the preference does not count", p.Weight)
			continue
		}
		nodes := compileSelector(r, path+".preference", &p.Preference)
		out.ad.Preferred = append(out.ad.Preferred, lb.PreferredNodes{Weight: int(p.Weight), Nodes: nodes})
	}
	slices.SortFunc(out.ad.Preferred, func(a, b lb.PreferredNodes) int {
		return cmp.Or(-cmp.Compare(a.Weight, b.Weight), compareSelectors(a.Nodes, b.Nodes))
	})
	if e := in.Spec.Election; e != nil {
		out.ad.Elects, out.ad.Election = true, compileElection(r, e, ordered(in.Annotations, AnnotationRebalance))
	}
	out.problems = r.problems
	return out
}

func compileElection(r *report, in *v1beta1.L2Election, rebalance bool) lb.Election {
	out := lb.Election{Sticky: in.Sticky}
	switch in.Spread {
	case v1beta1.SpreadBalanced:
		out.Balanced = true
	case v1beta1.SpreadHash, "":
	default:
		r.field("spec.election.spread", "%q is neither Hash nor Balanced; until it is corrected it counts as Hash", in.Spread)
	}
	after := duration(r, "spec.election.moveBackAfter", in.MoveBackAfter)
	if after > 0 && !in.Sticky {
		r.field("spec.election.moveBackAfter", "means nothing without sticky: true, because other addresses move at once; add that or remove this")
	}
	if in.Sticky {
		out.MoveBackAfter, out.Rebalance = after, rebalance
	}
	return out
}

// update brings the table up to date and says whether any result may have changed.
func (t *l2Table) update(o *Objects, pools []lb.Pool, poolsChanged bool) bool {
	changes := update(&t.ads, o.L2Advertisements, compileL2, equalL2)
	if len(changes) == 0 && !poolsChanged {
		return false
	}
	t.out, t.problems = make([]lb.L2Advertisement, 0, len(t.ads.order)), nil
	seen := map[string]bool{}
	for _, e := range t.ads.order {
		ad := e.val.ad
		ad.Pools = poolNames(pools, e.val.names, e.val.labels)
		t.problems = append(t.problems, e.val.problems...)
		if p, differs := otherElection(e.key, &ad, t.out); differs {
			t.problems = append(t.problems, p)
		}
		if text := l2Text(ad); text == "" || !seen[text] {
			seen[text] = true
			t.out = append(t.out, ad)
		}
	}
	slices.SortStableFunc(t.out, func(a, b lb.L2Advertisement) int { return cmp.Compare(a.Name, b.Name) })
	return true
}

// l2Text is equal for advertisements of which one suffices, and "" for one that adds to any
// other: the weights of preferences add up.
func l2Text(ad lb.L2Advertisement) string {
	if len(ad.Preferred) > 0 {
		return ""
	}
	ad.Name = ""
	return fmt.Sprintf("%#v", ad)
}

// otherElection reports an advertisement that elects otherwise than one before it, by name,
// that announces some of the same addresses: there the earlier one counts. Two that select
// Services differently are meant to divide the addresses between them, and left alone.
func otherElection(key lb.Key, ad *lb.L2Advertisement, before []lb.L2Advertisement) (lb.Problem, bool) {
	if !ad.Elects {
		return lb.Problem{}, false
	}
	for i := range before {
		first := &before[i]
		if !first.Elects || sameElection(first.Election, ad.Election) {
			continue
		}
		if len(first.Services) > 0 && len(ad.Services) > 0 && !reflect.DeepEqual(first.Services, ad.Services) {
			continue
		}
		for _, pool := range ad.Pools {
			if !slices.Contains(first.Pools, pool) {
				continue
			}
			r := report{kind: "L2Advertisement", key: key}
			r.field("spec.election", "L2Advertisement %s comes first by name, selects addresses of pool %s as well, and elects otherwise: "+
				"for addresses that both select, its election counts; make the two equal, or remove one", first.Name, pool)
			return r.problems[0], true
		}
	}
	return lb.Problem{}, false
}

// sameElection leaves passing orders aside.
func sameElection(a, b lb.Election) bool {
	a.Rebalance, b.Rebalance = false, false
	return a == b
}
