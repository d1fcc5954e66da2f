// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// config is the old configuration, as far as it could be read.
type config struct {
	pools       []pool
	peers       []peer
	profiles    []profile
	communities []pair
}

type pool struct {
	object        *object
	name          string
	bgp           bool
	addresses     []string
	autoAssign    *bool
	avoidBuggyIPs bool
	ads           []advertisement
}

type advertisement struct {
	object      *object
	length      *uint32
	lengthV6    *uint32
	localPref   uint32
	communities []string
}

type peer struct {
	object                *object
	myASN, peerASN        uint32
	address, source       string
	port                  uint32
	hold, keepalive       *time.Duration
	routerID              string
	selectors             []metav1.LabelSelector
	password, profileName string
	multiHop              bool
}

type profile struct {
	object                                                  *object
	name                                                    string
	receive, transmit, multiplier, echoInterval, minimumTTL *uint32
	echoMode, passiveMode                                   *bool
}

// top is the object that problems with the configuration's own keys are told about.
const top = "configuration"

// read takes the configuration apart. It knows each field that MetalLB documented up to
// 0.12, and the names that some had in the very first versions.
func read(node *yaml.Node, out *problems) config {
	o := newObject(node, top, "", out)
	var c config
	for i, n := range o.list("address-pools") {
		c.pools = append(c.pools, readPool(named(n, "address-pools", i, "name", out)))
	}
	for i, n := range o.list("peers") {
		c.peers = append(c.peers, readPeer(named(n, "peers", i, "peer-address", out)))
	}
	for i, n := range o.list("bfd-profiles") {
		c.profiles = append(c.profiles, readProfile(named(n, "bfd-profiles", i, "name", out)))
	}
	c.communities = o.pairs("bgp-communities")
	o.done(map[string]string{
		"communities":        "is the name of very old versions; write bgp-communities",
		"peer-autodiscovery": "is not translated; write each peer out under peers",
	})
	return c
}

// named is an element of a list at the top, called by the value of one of its keys.
func named(node *yaml.Node, list string, i int, key string, out *problems) *object {
	name := fmt.Sprintf("%s[%d]", list, i)
	if v := resolve(value(resolve(node), key)); v != nil && v.Kind == yaml.ScalarNode {
		name = fmt.Sprintf("%s (%q)", name, v.Value)
	}
	return newObject(node, name, "", out)
}

func readPool(o *object) pool {
	p := pool{object: o, name: o.text("name")}
	switch protocol := o.text("protocol"); protocol {
	case "bgp":
		p.bgp = true
	case "layer2":
	case "arp", "ndp":
		o.reject("protocol", "%s is the name of very old versions; write layer2", protocol)
	default:
		o.reject("protocol", "%s is neither layer2 nor bgp; write one of them", wanted(protocol))
	}
	p.addresses = o.texts("addresses", func(field, text string) { checkRange(o, field, text) })
	if _, old := o.values["cidr"]; len(p.addresses) == 0 && !old {
		o.reject("addresses", "the pool has no addresses; write at least one prefix or range, or remove the pool")
	}
	p.autoAssign = o.flag("auto-assign")
	p.avoidBuggyIPs = yes(o.flag("avoid-buggy-ips"))
	for _, ad := range o.objects("bgp-advertisements") {
		p.ads = append(p.ads, readAdvertisement(ad))
	}
	if !p.bgp && len(p.ads) > 0 {
		o.reject("bgp-advertisements", "a pool of protocol layer2 has none; remove them, or write protocol: bgp")
	}
	o.done(map[string]string{
		"cidr":           "is the name of very old versions; write addresses",
		"advertisements": "is the name of very old versions; write bgp-advertisements",
		"arp-network":    "means nothing since pools have protocol layer2; remove it",
	})
	return p
}

func yes(flag *bool) bool { return flag != nil && *flag }

// checkRange says early what the API server would say later.
func checkRange(o *object, field, text string) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		if _, err := netip.ParsePrefix(strings.TrimSpace(text)); err != nil {
			o.reject(field, "%q is neither a prefix nor a range; write for example 198.51.100.0/24 or 198.51.100.10-198.51.100.50", text)
		}
		return
	}
	from, err1 := netip.ParseAddr(strings.TrimSpace(first))
	to, err2 := netip.ParseAddr(strings.TrimSpace(last))
	if cmp.Or(err1, err2) != nil || from.BitLen() != to.BitLen() || to.Less(from) {
		o.reject(field, "%q is no range; write the lowest and the highest address of one family, such as 198.51.100.10-198.51.100.50", text)
	}
}

func readAdvertisement(o *object) advertisement {
	ad := advertisement{
		object: o,
		length: o.number("aggregation-length", 1, 32), lengthV6: o.number("aggregation-length-v6", 1, 128),
		communities: o.texts("communities", nil),
	}
	if n := o.number("localpref", 0, 1<<32-1); n != nil {
		ad.localPref = *n
	}
	o.done(nil)
	return ad
}

func readPeer(o *object) peer {
	p := peer{
		object:  o,
		myASN:   required(o, "my-asn"),
		peerASN: required(o, "peer-asn"),
		source:  o.address("source-address"),
		hold:    o.duration("hold-time"), keepalive: o.duration("keepalive-time"),
		password: o.text("password"), profileName: o.text("bfd-profile"),
		multiHop: yes(o.flag("ebgp-multihop")),
	}
	if _, there := o.values["peer-address"]; !there {
		o.reject("peer-address", "the peer has no address; write that of the router")
	}
	p.address = o.address("peer-address")
	if n := o.number("peer-port", 0, 65535); n != nil {
		p.port = *n
	}
	if p.routerID = o.address("router-id"); strings.Contains(p.routerID, ":") {
		o.reject("router-id", "%q is no router ID; write it in the form of an IPv4 address", p.routerID)
	}
	for _, s := range o.objects("node-selectors") {
		p.selectors = append(p.selectors, readSelector(s))
	}
	o.done(nil)
	return p
}

// required reads an AS number.
func required(o *object, key string) uint32 {
	if resolve(o.values[key]) == nil {
		o.take(key)
		o.reject(key, "the AS number is missing; write it")
		return 0
	}
	n := o.number(key, 1, 1<<32-1)
	if n == nil {
		return 0
	}
	return *n
}

func readSelector(o *object) metav1.LabelSelector {
	var s metav1.LabelSelector
	for _, p := range o.pairs("match-labels") {
		if s.MatchLabels == nil {
			s.MatchLabels = map[string]string{}
		}
		s.MatchLabels[p.key] = p.value
	}
	for _, e := range o.objects("match-expressions") {
		r := metav1.LabelSelectorRequirement{
			Key: e.text("key"), Operator: metav1.LabelSelectorOperator(e.text("operator")), Values: e.texts("values", nil),
		}
		switch r.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
			if len(r.Values) == 0 {
				e.reject("values", "operator %s compares with nothing; write at least one value", r.Operator)
			}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				e.reject("values", "operator %s takes no values; remove them", r.Operator)
			}
		default:
			e.reject("operator", "%s is no operator; write In, NotIn, Exists or DoesNotExist", wanted(string(r.Operator)))
		}
		if r.Key == "" {
			e.reject("key", "the name of the label is missing; write it")
		}
		e.done(nil)
		s.MatchExpressions = append(s.MatchExpressions, r)
	}
	o.done(nil)
	return s
}

func readProfile(o *object) profile {
	p := profile{
		object: o, name: o.text("name"),
		receive: o.number("receive-interval", 10, 60000), transmit: o.number("transmit-interval", 10, 60000),
		multiplier: o.number("detect-multiplier", 2, 255), echoInterval: o.number("echo-interval", 10, 60000),
		minimumTTL: o.number("minimum-ttl", 1, 254),
		echoMode:   o.flag("echo-mode"), passiveMode: o.flag("passive-mode"),
	}
	o.done(nil)
	return p
}

// isCommunity reads "a:b", the one form that there was.
func isCommunity(text string) bool {
	high, low, found := strings.Cut(text, ":")
	_, err1 := strconv.ParseUint(high, 10, 16)
	_, err2 := strconv.ParseUint(low, 10, 16)
	return found && cmp.Or(err1, err2) == nil
}
