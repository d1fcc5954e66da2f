// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"net/netip"
	"testing"
)

func TestClosedPoolServesOnlyThoseThatHoldAnAddressOfIt(t *testing.T) {
	addrs := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	r := Range{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9")}
	for _, tt := range []struct {
		rule   string
		closed bool
		held   []netip.Addr
		want   bool
	}{
		{"an open pool serves a newcomer", false, nil, true},
		{"a closed pool serves no newcomer", true, nil, false},
		{"a closed pool serves who holds one of its addresses", true, addrs("2001:db8::1", "10.0.0.5"), true},
		{"a closed pool serves nobody who holds an address of another", true, addrs("10.0.1.5"), false},
	} {
		p := Pool{Ranges: []Range{r}, Closed: tt.closed}
		if got := p.Allows(&Service{Assigned: tt.held}); got != tt.want {
			t.Errorf("%s: Allows is %v", tt.rule, got)
		}
	}
}
