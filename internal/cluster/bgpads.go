// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// bgpTable compiles the BGPAdvertisements together with the Communities.
type bgpTable struct {
	ads         memo[bgpAdvertisement]
	communities memo[community]

	out      []lb.BGPAdvertisement
	problems []lb.Problem
}

// update brings the table up to date and says whether any result may have changed.
func (t *bgpTable) update(o *Objects, pools []lb.Pool, nodes []lb.Node, othersChanged bool) bool {
	ads := update(&t.ads, o.BGPAdvertisements, compileBGP, equalBGP)
	communities := update(&t.communities, o.Communities, compileCommunity, equalCommunities)
	if len(ads)+len(communities) == 0 && !othersChanged {
		return false
	}
	t.rebuild(pools, nodes)
	return true
}

// rebuild looks at the advertisements in the order of their age, so that of two that say the same
// the older stays.
func (t *bgpTable) rebuild(pools []lb.Pool, nodes []lb.Node) {
	byAge := make([]*bgpAdvertisement, 0, len(t.ads.order))
	for _, e := range t.ads.order {
		byAge = append(byAge, &e.val)
	}
	slices.SortFunc(byAge, func(a, b *bgpAdvertisement) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.key.Name, b.key.Name), a.key.Compare(b.key))
	})
	var aliases map[string]lb.Community
	aliases, t.problems = aliasesOf(t.communities.order)
	t.out = make([]lb.BGPAdvertisement, 0, len(byAge))
	blocks := largestBlocks(pools)
	seen := map[string]bool{}
	for _, a := range byAge {
		r := &report{kind: "BGPAdvertisement", key: a.key, problems: slices.Clone(a.problems)}
		ad := a.ad
		var usable bool
		ad.Communities, usable = resolveCommunities(r, a.communities, aliases)
		if usable {
			ad.Pools = poolNames(pools, a.names, a.labels)
			ad.Pools = withinPools(r, &ad, blocks)
			tellConflicts(r, &ad, t.out, blocks, nodes)
			if text := bgpText(ad); !seen[text] {
				seen[text] = true
				t.out = append(t.out, ad)
			}
		}
		t.problems = append(t.problems, r.problems...)
	}
	slices.SortStableFunc(t.out, func(a, b lb.BGPAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
}

// bgpText is equal for advertisements of which one suffices.
func bgpText(ad lb.BGPAdvertisement) string {
	ad.Name, ad.Created = "", time.Time{}
	return fmt.Sprintf("%#v", ad)
}

// withinPools returns the pools that the aggregated prefixes do not reach beyond. A prefix that
// is larger than any block of its pool would draw traffic for addresses of somebody else.
func withinPools(r *report, ad *lb.BGPAdvertisement, blocks map[string]block) []string {
	var out []string
	for _, name := range ad.Pools {
		b := blocks[name]
		switch {
		case b.v4 >= 0 && ad.AggregationLength < b.v4:
			r.field("spec.aggregationLength", "invalid aggregation length %d: pool %q has no block larger than a /%d; "+
				"write %d or more, until then the pool is not announced", ad.AggregationLength, name, b.v4, b.v4)
		case b.v6 >= 0 && ad.AggregationLengthV6 < b.v6:
			r.field("spec.aggregationLengthV6", "invalid aggregation length %d: pool %q has no block larger than a /%d; "+
				"write %d or more, until then the pool is not announced", ad.AggregationLengthV6, name, b.v6, b.v6)
		default:
			out = append(out, name)
		}
	}
	return out
}

// tellConflicts tells of the pools for which an older advertisement gives the same prefixes another
// local preference on a session that both apply to: there the older counts, as bgp.Select has it.
// With service selectors that depends on the Services, which are told.
func tellConflicts(r *report, ad *lb.BGPAdvertisement, older []lb.BGPAdvertisement, blocks map[string]block, nodes []lb.Node) {
	rest := ad.Pools // about which nothing was told yet
	for i := range older {
		o := &older[i]
		if !contradict(o, ad) || !sharePeer(o.Peers, ad.Peers) || !shareNode(o.Nodes, ad.Nodes, nodes) {
			continue
		}
		var left []string
		for _, name := range rest {
			b := blocks[name]
			samePrefixes := b.v4 >= 0 && o.AggregationLength == ad.AggregationLength ||
				b.v6 >= 0 && o.AggregationLengthV6 == ad.AggregationLengthV6
			if _, both := slices.BinarySearch(o.Pools, name); !both || !samePrefixes {
				left = append(left, name)
				continue
			}
			r.field("spec.localPref", "the older advertisement %q gives pool %q the local preference %d on the same sessions, where it counts; "+
				"use one value or different peers or nodes", o.Name, name, o.LocalPref)
		}
		rest = left
	}
}

// contradict says whether two advertisements may give different local preferences, of which 0
// means none.
func contradict(a, b *lb.BGPAdvertisement) bool {
	return a.LocalPref != b.LocalPref && a.LocalPref != 0 && b.LocalPref != 0 && len(a.Services)+len(b.Services) == 0
}

// sharePeer says whether two sorted lists of peers, of which an empty one means every peer,
// have one in common.
func sharePeer(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(name string) bool {
		_, found := slices.BinarySearch(b, name)
		return found
	})
}

// block holds the prefix lengths of the largest block of each family that fits into a pool,
// -1 where the pool has no addresses of the family.
type block struct{ v4, v6 int }

func largestBlocks(pools []lb.Pool) map[string]block {
	out := make(map[string]block, len(pools))
	for i := range pools {
		p, b := &pools[i], block{-1, -1}
		for _, r := range p.Ranges {
			best := &b.v4
			if r.Family() == lb.IPv6 {
				best = &b.v6
			}
			if bits := largestBlock(r); *best < 0 || bits < *best {
				*best = bits
			}
		}
		out[p.Name] = b
	}
	return out
}

// largestBlock returns the length of the shortest prefix that lies within the range.
func largestBlock(r lb.Range) int {
	for bits := range r.First.BitLen() {
		block := rangeOf(netip.PrefixFrom(r.First, bits))
		if block.First.Less(r.First) { // the block that begins after this one may fit
			next := block.Last.Next()
			if !next.IsValid() {
				continue
			}
			block = rangeOf(netip.PrefixFrom(next, bits))
		}
		if r.Contains(block.First) && r.Contains(block.Last) {
			return bits
		}
	}
	return r.First.BitLen()
}
