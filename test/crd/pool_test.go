// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestPoolAddresses(t *testing.T) {
	const (
		prefix  = "must be a prefix such as 192.0.2.0/24"
		oneEach = "a range is two addresses of one family"
		noIP    = "holds something that is no IP address"
		order   = "the range ends before it begins"
		overlap = "overlap; list each address once"
	)
	for _, c := range []struct {
		name, want string
		addresses  []string
	}{
		{"prefix", "", []string{"192.0.2.0/24"}},
		{"single addresses", "", []string{"192.0.2.1/32", "2001:db8::1/128"}},
		{"host bits", "", []string{"198.51.100.10/24", "2001:db8::1/64"}},
		{"the whole of both families", "", []string{"0.0.0.0/0", "::/0"}},
		{"range", "", []string{"192.0.2.10-192.0.2.20"}},
		{"range of one", "", []string{"192.0.2.10-192.0.2.10"}},
		{"range with spaces", "", []string{"192.0.2.10 - 192.0.2.20", " 192.0.2.30-192.0.2.40 ", "192.0.2.50\t-\t192.0.2.60"}},
		{"IPv6 ranges", "", []string{"2001:db8::-2001:db8::ff", "2001:DB8:1::1 - 2001:db8:1:0:0:0:0:2"}},
		{"IPv6 in every spelling", "", []string{"::1/128", "1::/128", "1:2:3:4:5:6:7:8/128", "2001:db8::192.0.2.1/128", "fe80::1-fe80::1:2:3"}},
		{"neighbours", "", []string{"192.0.2.0/25", "192.0.2.128/25", "192.0.3.0-192.0.3.9", "192.0.3.10-192.0.3.19"}},
		{"a thousand ranges", "", thousand()},

		{"nothing", "must have at least one prefix or range", []string{}},
		{"empty text", prefix, []string{""}},
		{"bare address", prefix, []string{"192.0.2.1"}},
		{"bare IPv6 address", prefix, []string{"2001:db8::1"}},
		{"a name", prefix, []string{"example"}},
		{"prefix too long", prefix, []string{"192.0.2.0/33"}},
		{"IPv6 prefix too long", prefix, []string{"2001:db8::/129"}},
		{"prefix in words", prefix, []string{"192.0.2.0/255.255.255.0"}},
		{"octet too large", noIP, []string{"192.0.2.256/32"}},
		{"octet too large in a range", noIP, []string{"300.0.2.1-300.0.2.9"}},
		{"three octets", prefix, []string{"192.0.2/24"}},
		{"three colons", noIP, []string{"2001:db8:::/64"}},
		{"two gaps", noIP, []string{"2001::db8::1/64"}},
		{"too many digits", noIP, []string{"2001:0db80::/64"}},
		{"half a range", oneEach, []string{"192.0.2.1-"}},
		{"range of prefixes", oneEach, []string{"192.0.2.0/25-192.0.2.128/25"}},
		{"short range", oneEach, []string{"192.0.2.1-9"}},
		{"two families", oneEach, []string{"192.0.2.1-2001:db8::1"}},
		{"three addresses", oneEach, []string{"192.0.2.1-192.0.2.2-192.0.2.3"}},
		{"backwards", order, []string{"192.0.2.20-192.0.2.10"}},
		{"backwards in the first octet", order, []string{"193.0.2.20 - 192.255.255.255"}},
		{"backwards in IPv6", "2001:db8::a-2001:db8::9 ends before it begins", []string{"2001:db8::a-2001:db8::9"}},
		{"backwards in IPv6, longer by digits", "ends before it begins", []string{"2001:db8::10-2001:db8::f"}},
		{"the same twice", overlap, []string{"192.0.2.0/24", "192.0.2.0/24"}},
		{"prefix in prefix", overlap, []string{"10.0.0.0/8", "10.1.0.0/16"}},
		{"host bits hide it", overlap, []string{"192.0.2.200/24", "192.0.2.0/32"}},
		{"range in prefix", overlap, []string{"192.0.2.64/27", "192.0.2.95-192.0.2.99"}},
		{"range in range", overlap, []string{"192.0.2.1-192.0.2.9", "192.0.2.9-192.0.2.12"}},
		{"IPv6 in another spelling", overlap, []string{"2001:db8::/61", "2001:DB8:0000:0007::/64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := "addresses: []"
			if len(c.addresses) > 0 {
				spec = `addresses: ["` + strings.ReplaceAll(strings.Join(c.addresses, `", "`), "\t", `\t`) + `"]`
			}
			expect(t, object(t, "v1beta1", "IPAddressPool", "check", spec), c.want)
		})
	}
}

func thousand() (out []string) {
	for i := range 1000 {
		out = append(out, fmt.Sprintf("10.%d.%d.0-10.%d.%d.9", i/100, i%100, i/100, i%100))
	}
	return out
}

func TestPoolOptions(t *testing.T) {
	const twice = "lists the same thing twice"
	run(t, "v1beta1", "IPAddressPool", []check{
		{"all of MetalLB's", `{addresses: [192.0.2.0/24], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 1,
			namespaces: [a, b], namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}],
			serviceSelectors: [{matchExpressions: [{key: a, operator: In, values: [b]}, {key: c, operator: Exists}]}]}}`, ""},
		{"all of Clarion's", `{addresses: [192.0.2.0/24], quotas: [{addresses: 3}, {namespace: a, addresses: 0}, {namespaceSelector: {}, addresses: 9}],
			reservationTime: 24h, cooldownTime: 1m30s, dualStackPartner: other, sharingPolicy: PreferColocate}`, ""},
		{"times of nothing", `{addresses: [192.0.2.0/24], reservationTime: "0", cooldownTime: 0s}`, ""},
		{"empty allocation", `{addresses: [192.0.2.0/24], serviceAllocation: {}}`, ""},

		{"no addresses", `{autoAssign: true}`, "spec.addresses: Required value"},
		{"no spec", ``, "spec: Required value"},
		{"a field that does not exist", `{addresses: [192.0.2.0/24], protocol: layer2}`, `unknown field "spec.protocol"`},
		{"namespace twice", `{addresses: [192.0.2.0/24], serviceAllocation: {namespaces: [a, b, a]}}`, "spec.serviceAllocation.namespaces: " + twice},
		{"namespace selector twice", `{addresses: [192.0.2.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}}`,
			"spec.serviceAllocation.namespaceSelectors: " + twice},
		{"service selector twice", `{addresses: [192.0.2.0/24], serviceAllocation: {serviceSelectors: [{}, {}]}}`,
			"spec.serviceAllocation.serviceSelectors: " + twice},
		{"selector without values", `{addresses: [192.0.2.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: In}]}]}}`,
			"spec.serviceAllocation.serviceSelectors: in matchExpressions, operator In and NotIn need values"},
		{"operator that does not exist", `{addresses: [192.0.2.0/24], serviceAllocation: {namespaceSelectors: [{matchExpressions: [{key: a, operator: Like, values: [b]}]}]}}`,
			"spec.serviceAllocation.namespaceSelectors: in matchExpressions"},
		{"quota for both", `{addresses: [192.0.2.0/24], quotas: [{namespace: a, namespaceSelector: {}, addresses: 1}]}`,
			"namespace and namespaceSelector exclude each other"},
		{"negative quota", `{addresses: [192.0.2.0/24], quotas: [{addresses: -1}]}`, "spec.quotas[0].addresses"},
		{"negative time", `{addresses: [192.0.2.0/24], reservationTime: -1h}`, "must be a time such as 30s, 5m or 24h"},
		{"time in days", `{addresses: [192.0.2.0/24], cooldownTime: 1d}`, "must be a time such as 30s, 5m or 24h"},
		{"policy that does not exist", `{addresses: [192.0.2.0/24], sharingPolicy: Never}`, `supported values: "FirstFree", "PreferColocate"`},
	})
}

func TestPoolsMustNotOverlap(t *testing.T) {
	create(t, object(t, "v1beta1", "IPAddressPool", "first", `addresses: [192.0.2.200/25, 2001:db8::/62]`))
	create(t, object(t, "v1beta1", "IPAddressPool", "second", `addresses: [203.0.113.10-203.0.113.20]`))
	run(t, "v1beta1", "IPAddressPool", []check{
		{"inside", `addresses: [192.0.2.192/26]`,
			"spec.addresses: 192.0.2.192/26 overlaps 192.0.2.200/25 of IPAddressPool first; leave the addresses to one of the two pools"},
		{"around", `addresses: [192.0.0.0/16]`, "192.0.0.0/16 overlaps 192.0.2.200/25 of IPAddressPool first"},
		{"one address of a range", `addresses: [198.51.100.0/24, 203.0.113.20/32]`, "203.0.113.20/32 overlaps 203.0.113.10-203.0.113.20 of IPAddressPool second"},
		{"last of IPv6", `addresses: ["2001:db8:0:3:ffff:ffff:ffff:ffff-2001:db8:0:4::"]`, "overlaps 2001:db8::/62 of IPAddressPool first"},
		{"before, after and beside", `addresses: [192.0.2.0/25, 192.0.3.0/24, 203.0.113.0-203.0.113.9, 203.0.113.21-203.0.113.30, "2001:db8:0:4::/62"]`, ""},
	})
	t.Run("with itself", func(t *testing.T) {
		first := object(t, "v1beta1", "IPAddressPool", "first", `addresses: [192.0.2.128/26, 2001:db8::/61]`)
		expectThat(t, "", func(ctx context.Context) error { return dryUpdate(ctx, first) })
		first = object(t, "v1beta1", "IPAddressPool", "first", `addresses: [203.0.113.0/24]`)
		expectThat(t, "overlaps 203.0.113.10-203.0.113.20 of IPAddressPool second", func(ctx context.Context) error { return dryUpdate(ctx, first) })
	})
}
