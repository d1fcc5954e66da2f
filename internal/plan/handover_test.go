// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestHandoversAreMovesToAnotherOwner(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	held := Desired{Known: true, Self: "a", L2: []lb.Announcement{{Addr: addr}}}
	now := func(owner string, reason lb.Reason) Desired {
		return Desired{Known: true, Self: "a", Why: []Explanation{{Addr: addr, Owner: owner, Reason: reason}}}
	}
	for name, tc := range map[string]struct {
		prev, next Desired
		want       []netip.Addr
	}{
		"another node owns it":               {held, now("b", lb.NotOwner), []netip.Addr{addr}},
		"nobody owns it":                     {held, now("", lb.NoEndpoints), nil},
		"this node is cut off":               {held, now("b", lb.NoSpeaker), nil},
		"it was never held":                  {Desired{Known: true}, now("b", lb.NotOwner), nil},
		"it is kept":                         {held, held, nil},
		"nothing is known now":               {held, Desired{}, nil},
		"another Service of it lost its ads": {held, now("b", lb.NoMatchingAdvertisement), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Handovers(tc.prev, tc.next); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
