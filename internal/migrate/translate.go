// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
)

// communitiesName is the name of the one Community object.
const communitiesName = "communities"

// translation is one run over an old configuration.
type translation struct {
	namespace string
	old       config
	out       *problems
	result    Result
}

func (t *translation) run() {
	for _, p := range t.old.profiles {
		t.profile(p)
	}
	t.communities()
	t.pools()
	t.peers()
	if reflect.DeepEqual(t.result, Result{}) && Complete(t.out.list) {
		t.out.note(top, "", "it is empty, so there is nothing to translate")
	}
}

func (t *translation) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: t.namespace}
}

func kind(k string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: k}
}

// checkName says whether a name of the old configuration can be that of an object. The name is
// not changed instead, because others refer to it: Services to pools, peers to profiles.
func checkName(o *object, name, referrers string) bool {
	switch {
	case name == "":
		o.reject("name", "the name is missing; write one")
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		o.reject("name", "%q cannot be the name of an object; use lower-case letters, digits, \"-\" and \".\", and correct it in %s, too", name, referrers)
	default:
		return true
	}
	return false
}

func (t *translation) profile(p profile) {
	if !checkName(p.object, p.name, "the bfd-profile of peers") {
		return
	}
	if t.hasProfile(p.name) {
		p.object.reject("name", "another profile has this name; rename or remove one")
		return
	}
	t.result.BFDProfiles = append(t.result.BFDProfiles, &v1beta1.BFDProfile{
		TypeMeta: kind("BFDProfile"), ObjectMeta: t.meta(p.name),
		Spec: v1beta1.BFDProfileSpec{
			ReceiveInterval: p.receive, TransmitInterval: p.transmit, DetectMultiplier: p.multiplier,
			EchoInterval: p.echoInterval, EchoMode: p.echoMode, PassiveMode: p.passiveMode, MinimumTTL: p.minimumTTL,
		},
	})
}

func (t *translation) hasProfile(name string) bool {
	return slices.ContainsFunc(t.result.BFDProfiles, func(o *v1beta1.BFDProfile) bool { return o.Name == name })
}

func (t *translation) communities() {
	var aliases []v1beta1.CommunityAlias
	for _, c := range t.old.communities {
		if c.key == "" || !isCommunity(c.value) {
			t.out.reject(top, "bgp-communities."+c.key, "%q is no community; write two numbers up to 65535, such as 64512:100", c.value)
			continue
		}
		aliases = append(aliases, v1beta1.CommunityAlias{Name: c.key, Value: c.value})
	}
	if len(aliases) == 0 {
		return
	}
	slices.SortFunc(aliases, func(a, b v1beta1.CommunityAlias) int { return strings.Compare(a.Name, b.Name) })
	t.result.Communities = []*v1beta1.Community{{
		TypeMeta: kind("Community"), ObjectMeta: t.meta(communitiesName), Spec: v1beta1.CommunitySpec{Communities: aliases},
	}}
}

// pools makes for each an IPAddressPool, and what announces it: an L2Advertisement of the same
// name, or a BGPAdvertisement of that name for the first advertisement and with "-2", "-3" for
// others.
func (t *translation) pools() {
	taken := names{}
	for _, p := range t.old.pools {
		if !checkName(p.object, p.name, "Services that ask for it") {
			continue
		}
		if !taken.claim(p.name) {
			p.object.reject("name", "another pool has this name; rename or remove one")
			continue
		}
		t.result.Pools = append(t.result.Pools, &v1beta1.IPAddressPool{
			TypeMeta: kind("IPAddressPool"), ObjectMeta: t.meta(p.name),
			Spec: v1beta1.IPAddressPoolSpec{Addresses: p.addresses, AutoAssign: p.autoAssign, AvoidBuggyIPs: p.avoidBuggyIPs},
		})
	}
	for _, o := range t.result.Pools {
		i := slices.IndexFunc(t.old.pools, func(p pool) bool { return p.name == o.Name })
		if p := t.old.pools[i]; p.bgp {
			t.advertise(p, taken)
		} else {
			t.result.L2Advertisements = append(t.result.L2Advertisements, &v1beta1.L2Advertisement{
				TypeMeta: kind("L2Advertisement"), ObjectMeta: t.meta(p.name),
				Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{p.name}},
			})
		}
	}
}

func (t *translation) advertise(p pool, taken names) {
	ads := p.ads
	if len(ads) == 0 { // each address to all peers, as it is
		ads = []advertisement{{}}
	}
	var specs []v1beta1.BGPAdvertisementSpec
	for _, ad := range ads {
		spec := v1beta1.BGPAdvertisementSpec{
			AggregationLength: int32Of(ad.length), AggregationLengthV6: int32Of(ad.lengthV6), LocalPref: ad.localPref,
			Communities: t.checkCommunities(ad), IPAddressPools: []string{p.name},
		}
		if slices.ContainsFunc(specs, func(s v1beta1.BGPAdvertisementSpec) bool { return reflect.DeepEqual(s, spec) }) {
			ad.object.note("", "says the same as one before it, and is left out")
			continue
		}
		name := p.name
		if len(specs) > 0 {
			name = taken.next(p.name)
		}
		specs = append(specs, spec)
		t.result.BGPAdvertisements = append(t.result.BGPAdvertisements, &v1beta1.BGPAdvertisement{
			TypeMeta: kind("BGPAdvertisement"), ObjectMeta: t.meta(name), Spec: spec,
		})
	}
}

func int32Of(n *uint32) *int32 {
	if n == nil {
		return nil
	}
	v := int32(*n)
	return &v
}

// checkCommunities returns the communities of an advertisement, each once.
func (t *translation) checkCommunities(ad advertisement) []string {
	var all []string
	for i, c := range ad.communities {
		known := slices.ContainsFunc(t.old.communities, func(p pair) bool { return p.key == c })
		switch {
		case !known && !isCommunity(c):
			ad.object.reject(fmt.Sprintf("communities[%d]", i),
				"%q is neither a community, such as 64512:100, nor a name in bgp-communities; correct it or enter it there", c)
		case !slices.Contains(all, c):
			all = append(all, c)
		}
	}
	return all
}

func (t *translation) peers() {
	taken := names{}
	for i := range t.old.peers {
		p := &t.old.peers[i]
		spec, ok := t.peer(p)
		if !ok {
			continue
		}
		same := func(o *v1beta2.BGPPeer) bool { return reflect.DeepEqual(o.Spec, spec) }
		if slices.ContainsFunc(t.result.BGPPeers, same) {
			p.object.note("", "says the same as one before it, and is left out")
			continue
		}
		t.result.BGPPeers = append(t.result.BGPPeers, &v1beta2.BGPPeer{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1beta2.GroupVersion().String(), Kind: "BGPPeer"},
			ObjectMeta: t.meta(taken.next(peerName(p.address))), Spec: spec,
		})
	}
}

// peerName makes a name out of an address.
func peerName(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return "peer"
	}
	return "peer-" + strings.NewReplacer(".", "-", ":", "-").Replace(addr.StringExpanded())
}

// names are those in use.
type names map[string]bool

func (n names) claim(name string) bool {
	free := !n[name]
	n[name] = true
	return free
}

// next returns the name, or the first free of name-2, name-3 and so on.
func (n names) next(name string) string {
	out := name
	for i := 2; !n.claim(out); i++ {
		out = fmt.Sprintf("%s-%d", name, i)
	}
	return out
}
