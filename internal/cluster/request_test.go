// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct{ list, single, want string }{
		{"", "", "[] <nil>"},
		{"198.51.100.7", "", "[198.51.100.7] <nil>"},
		{" 198.51.100.7 ", "", "[198.51.100.7] <nil>"},
		{"2001:db8::7,198.51.100.7", "", "[2001:db8::7 198.51.100.7] <nil>"},
		{"::ffff:198.51.100.7", "", "[198.51.100.7] <nil>"},
		{"", "198.51.100.7", "[198.51.100.7] <nil>"},
		{"", "198.51.100.7,2001:db8::7", `[] invalid spec.loadBalancerIP "198.51.100.7,2001:db8::7"`},
		{"", "web", `[] invalid spec.loadBalancerIP "web"`},
		{"198.51.100.7", "198.51.100.7", "[] service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP"},
		{"198.51.100.7,", "", `[] invalid metallb.io/loadBalancerIPs: "198.51.100.7,"`},
		{"fe80::1%eth0", "", `[] invalid metallb.io/loadBalancerIPs: "fe80::1%eth0"`},
		{"198.51.100.0/24", "", `[] invalid metallb.io/loadBalancerIPs: "198.51.100.0/24"`},
		{"198.51.100.7,198.51.100.8", "", `[] invalid metallb.io/loadBalancerIPs: "198.51.100.7,198.51.100.8" has the same family twice`},
		{"198.51.100.7,2001:db8::7,2001:db8::8", "", `[] invalid metallb.io/loadBalancerIPs: "198.51.100.7,2001:db8::7,2001:db8::8": more than two addresses`},
	} {
		addrs, err := parseRequest(tt.list, tt.single)
		if got := fmt.Sprint(addrs, " ", err); got != tt.want {
			t.Errorf("parseRequest(%q, %q) = %s, want %s", tt.list, tt.single, got, tt.want)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("198.51.100.7, 2001:db8::7", "")
	f.Add("", "::ffff:1.2.3.4")
	f.Add(",", "")
	f.Add("fe80::1%eth0", "x")
	f.Fuzz(func(t *testing.T, list, single string) {
		addrs, err := parseRequest(list, single)
		switch {
		case err != nil && len(addrs) > 0:
			t.Fatalf("addresses %v with the error %v", addrs, err)
		case err == nil && len(addrs) == 0 && list+single != "":
			t.Fatalf("%q and %q were taken for no request", list, single)
		case len(addrs) > 2 || len(addrs) == 2 && lb.FamilyOf(addrs[0]) == lb.FamilyOf(addrs[1]):
			t.Fatalf("%q gives %v", list, addrs)
		}
		for _, a := range addrs {
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" || strings.Contains(a.String(), "%") {
				t.Fatalf("%q, %q gives %v", list, single, a)
			}
		}
	})
}
