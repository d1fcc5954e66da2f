// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// bgpAdvertisement is one BGPAdvertisement compiled as far as it goes without looking at other
// objects.
type bgpAdvertisement struct {
	key         lb.Key
	created     time.Time
	ad          lb.BGPAdvertisement // without Pools and Communities
	names       []string            // of pools
	labels      lb.Selectors        // of pools
	communities []string            // in the user's order
	problems    []lb.Problem
}

func equalBGP(a, b *bgpAdvertisement) bool { return reflect.DeepEqual(a, b) }

func compileBGP(in *v1beta1.BGPAdvertisement) bgpAdvertisement {
	r := newReport("BGPAdvertisement", in)
	spec := &in.Spec
	out := bgpAdvertisement{
		key: r.key, created: in.CreationTimestamp.Time,
		names:       sortedNames(r, "spec.ipAddressPools", spec.IPAddressPools),
		labels:      compileSelectors(r, "spec.ipAddressPoolSelectors", spec.IPAddressPoolSelectors),
		communities: spec.Communities,
		ad: lb.BGPAdvertisement{
			Name:      in.Name,
			Created:   in.CreationTimestamp.Time,
			Nodes:     compileSelectors(r, "spec.nodeSelectors", spec.NodeSelectors),
			Services:  compileSelectors(r, "spec.serviceSelectors", spec.ServiceSelectors),
			Peers:     sortedNames(r, "spec.peers", spec.Peers),
			LocalPref: spec.LocalPref,
			MED:       spec.MED,
		},
	}
	out.ad.Prepend = compilePrepend(r, spec.ASPathPrepend)
	out.ad.LinkBandwidth = compileBandwidth(r, spec.LinkBandwidth)
	v4 := aggregation(r, "spec.aggregationLength", spec.AggregationLength, lb.DefaultAggregationLength)
	v6 := aggregation(r, "spec.aggregationLengthV6", spec.AggregationLengthV6, lb.DefaultAggregationLengthV6)
	if len(spec.ServiceSelectors) > 0 && (v4 != lb.DefaultAggregationLength || v6 != lb.DefaultAggregationLengthV6) {
		// A prefix would speak for addresses of Services that were not selected.
		r.field("spec.serviceSelectors", "serviceSelectors and aggregationLength are mutually exclusive; "+
			"remove one of them, until then single addresses are announced")
		v4, v6 = lb.DefaultAggregationLength, lb.DefaultAggregationLengthV6
	}
	out.ad.AggregationLength, out.ad.AggregationLengthV6 = v4, v6
	out.problems = r.problems
	return out
}

// Limits of our own: what a longer path or a faster link would mean is beyond any network.
const (
	maxPrepend   = 16
	maxBandwidth = 10_000_000 // Mbit/s
)

func compilePrepend(r *report, in uint8) uint8 {
	if in > maxPrepend {
		r.field("spec.asPathPrepend", "%d is more than %d, which is used until it is corrected", in, maxPrepend)
		return maxPrepend
	}
	return in
}

// compileBandwidth returns bytes per second, as the community has them.
func compileBandwidth(r *report, in uint32) uint64 {
	if in > maxBandwidth {
		r.field("spec.linkBandwidth", "%d Mbit/s is more than %d; until it is corrected none is attached", in, maxBandwidth)
		return 0
	}
	return uint64(in) * 1_000_000 / 8
}

// aggregation reads a prefix length. One that makes no sense is replaced by that of a single
// address, which announces nothing that is not ours.
func aggregation(r *report, path string, in *int32, longest int) int {
	if in == nil {
		return longest
	}
	if length := int(*in); length >= 1 && length <= longest {
		return length
	}
	r.field(path, "invalid aggregation length %d; write 1 to %d, until then single addresses are announced", *in, longest)
	return longest
}

// resolveCommunities finds out what the communities mean. If one is unknown the advertisement
// is not used at all: it may be the one that keeps the routes from spreading.
func resolveCommunities(r *report, in []string, aliases map[string]lb.Community) (out []lb.Community, usable bool) {
	usable = true
	seen := map[lb.Community]bool{}
	for i, text := range in {
		path := index("spec.communities", i)
		c, known := aliases[text]
		if !known {
			var err error
			if c, err = lb.ParseCommunity(text); err != nil {
				r.reject(path, "%s", unknownCommunity(text, err))
				usable = false
				continue
			}
		}
		if seen[c] {
			r.field(path, "repeats %q; remove it", text)
		}
		seen[c] = true
		out = append(out, c)
	}
	return lb.SortedCommunities(out), usable
}

func unknownCommunity(text string, err error) string {
	if strings.Contains(text, ":") {
		return fmt.Sprintf("%v; write for example 65000:100 or large:65000:1:2", err)
	}
	return fmt.Sprintf("no Community object has the alias %q; create it, until then nothing is announced", text)
}
