// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"198.51.100.0/24", "198.51.100.0-198.51.100.255"},
		{"198.51.100.10/24", "198.51.100.0-198.51.100.255"},
		{"198.51.100.10/32", "198.51.100.10"},
		{" 198.51.100.10/32\n", "198.51.100.10"},
		{"198.51.100.10-198.51.100.12", "198.51.100.10-198.51.100.12"},
		{"198.51.100.10 - 198.51.100.12", "198.51.100.10-198.51.100.12"},
		{"198.51.100.10-198.51.100.10", "198.51.100.10"},
		{"0.0.0.0/0", "0.0.0.0-255.255.255.255"},
		{"2001:db8::/64", "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"},
		{"2001:db8::7/128", "2001:db8::7"},
		{"2001:DB8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"},
		{"::ffff:198.51.100.0/120", "198.51.100.0-198.51.100.255"},
		{"::ffff:198.51.100.1-198.51.100.2", "198.51.100.1-198.51.100.2"},
	} {
		got, err := ParseRange(tt.in)
		if err != nil || got.String() != tt.want {
			t.Errorf("ParseRange(%q) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestParseRangeNamesTheCure(t *testing.T) {
	for _, tt := range []struct{ in, says string }{
		{"", "write for example"},
		{"198.51.100.10", `write "198.51.100.10/32"`},
		{"2001:db8::1", `write "2001:db8::1/128"`},
		{"198.51.100.0/33", "no valid prefix"},
		{"198.51.100.0/-1", "no valid range"},
		{"198.51.100.0/", "no valid prefix"},
		{"198.51.100.00/24", "no valid prefix"},
		{"198.51.100.9-198.51.100.1", `write "198.51.100.1-198.51.100.9"`},
		{"198.51.100.1-2001:db8::1", "one range for each family"},
		{"198.51.100.1-", `"" is no IP address`},
		{"198.51.100.1-5", `"5" is no IP address`},
		{"198.51.100.1-198.51.100.2-198.51.100.3", "is no IP address"},
		{"198.51.100.0/24-198.51.101.0/24", "is no IP address"},
		{"fe80::1%eth0-fe80::2", "zone"},
		{"fe80::%eth0/64", "no valid prefix"},
		{"::ffff:0:0/95", "stands for IPv4"},
		{"::-::1:0:0:0", "stands for IPv4"},
	} {
		_, err := ParseRange(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseRange(%q) says %v, want %q in it", tt.in, err, tt.says)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"198.51.100.10/24", "2001:db8::1-2001:db8::2", "::ffff:1.2.3.4/120", "1.2.3.4 - 1.2.3.9", "::/0", "x", "-", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			if err.Error() == "" || r != (lb.Range{}) {
				t.Fatalf("ParseRange(%q) = %v and the error %q", s, r, err)
			}
			return
		}
		first, last := r.First, r.Last
		if !first.IsValid() || last.Less(first) || first.BitLen() != last.BitLen() || first.Is4In6() || last.Is4In6() || first.Zone() != "" {
			t.Fatalf("ParseRange(%q) = %s - %s", s, first, last)
		}
		again, err := ParseRange(first.String() + "-" + last.String())
		if err != nil || again != r {
			t.Fatalf("ParseRange(%q) = %s, which reads as %s, %v", s, r, again, err)
		}
	})
}

// Claims are compared with a table that has one entry for each address.
func TestClaimsAreDisjointAndComplete(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var held claims
		owner := map[netip.Addr]string{}
		for _, pool := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			wanted := claim{randomRange(rnd), pool, pool}
			inTheWay := map[string]bool{}
			free, taken := held.take(wanted)
			for a := wanted.First; ; a = a.Next() {
				isFree := slices.ContainsFunc(free, func(r lb.Range) bool { return r.Contains(a) })
				if _, had := owner[a]; had == isFree {
					t.Fatalf("seed %d: %s has an owner: %v, is given away: %v", seed, a, had, isFree)
				}
				if isFree {
					owner[a] = pool
				} else {
					inTheWay[owner[a]] = true
				}
				if a == wanted.Last {
					break
				}
			}
			reported := map[string]bool{}
			for _, c := range taken {
				reported[c.pool] = true
			}
			if !maps.Equal(reported, inTheWay) {
				t.Fatalf("seed %d: the conflicts %v are reported as %v", seed, inTheWay, reported)
			}
		}
		if !slices.IsSortedFunc(held, func(a, b claim) int { return a.First.Compare(b.First) }) {
			t.Fatalf("seed %d: claims are not sorted: %v", seed, held)
		}
	}
}

func TestLargestBlock(t *testing.T) {
	for _, tt := range []struct {
		ranges []string
		v4, v6 int
	}{
		{nil, -1, -1},
		{[]string{"10.0.0.0/24"}, 24, -1},
		{[]string{"10.0.0.1/32", "10.1.0.0/16", "10.2.0.0/20"}, 16, -1},
		{[]string{"10.0.0.1-10.0.0.254"}, 26, -1},
		{[]string{"10.0.0.1-10.0.0.20"}, 29, -1},
		{[]string{"10.0.0.0-10.0.0.255", "2001:db8::1-2001:db8::2"}, 24, 128},
		{[]string{"0.0.0.0/0"}, 0, -1},
		{[]string{"255.255.255.254-255.255.255.255"}, 31, -1},
		{[]string{"2001:db8::/48", "2001:db8:1::5/128"}, -1, 48},
	} {
		var p lb.Pool
		for _, text := range tt.ranges {
			r, err := ParseRange(text)
			if err != nil {
				t.Fatal(err)
			}
			p.Ranges = append(p.Ranges, r)
		}
		if got := largestBlocks([]lb.Pool{p})[""]; got != (block{tt.v4, tt.v6}) {
			t.Errorf("largest blocks of %v are /%d and /%d, want /%d and /%d", tt.ranges, got.v4, got.v6, tt.v4, tt.v6)
		}
	}
}

// randomRange returns a small range of either family, often at the end of its family.
func randomRange(rnd *rand.Rand) lb.Range {
	base := [][]byte{{255, 255, 255, 0}, {0, 0, 0, 0}, netip.IPv6Unspecified().AsSlice(), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00").AsSlice()}[rnd.IntN(4)]
	at := func(n byte) netip.Addr {
		b := slices.Clone(base)
		b[len(b)-1] = n
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	x, y := byte(216+rnd.IntN(40)), byte(216+rnd.IntN(40))
	return lb.Range{First: at(min(x, y)), Last: at(max(x, y))}
}
