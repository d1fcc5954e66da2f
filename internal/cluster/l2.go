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
		},
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
	out.problems = r.problems
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
