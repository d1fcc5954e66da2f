// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CommunityKind is one of the attributes that carry communities.
type CommunityKind uint8

// The kinds of communities, in the order in which they are listed.
const (
	StandardCommunity CommunityKind = iota // RFC 1997: A and B of 16 bits
	LargeCommunity                         // RFC 8092: A, B and C of 32 bits
	ExtendedCommunity                      // RFC 4360: A is the upper and B the lower half of the 8 bytes
)

// Community is one community of a route. It is comparable.
type Community struct {
	Kind    CommunityKind
	A, B, C uint32
}

// GracefulShutdown is the well-known community of RFC 8326.
func GracefulShutdown() Community { return Community{A: 0xffff, B: 0} }

// String returns the form that ParseCommunity reads.
func (c Community) String() string {
	switch c.Kind {
	case LargeCommunity:
		return fmt.Sprintf("large:%d:%d:%d", c.A, c.B, c.C)
	case ExtendedCommunity:
		return fmt.Sprintf("ext:0x%08x%08x", c.A, c.B)
	default:
		return fmt.Sprintf("%d:%d", c.A, c.B)
	}
}

// Compare orders communities by kind, then by number.
func (c Community) Compare(o Community) int {
	return cmp.Or(cmp.Compare(c.Kind, o.Kind), cmp.Compare(c.A, o.A), cmp.Compare(c.B, o.B), cmp.Compare(c.C, o.C))
}

// SortedCommunities returns a sorted copy without duplicates, nil for none.
func SortedCommunities(cs []Community) []Community {
	out := slices.Clone(cs)
	slices.SortFunc(out, Community.Compare)
	return slices.Compact(out)
}

// ParseCommunity reads "a:b" (two numbers of 16 bits), "large:a:b:c" (three of 32 bits), the
// route target and site of origin forms "rt:asn:n" and "soo:asn:n" (RFC 4360, RFC 5668), or
// "ext:0x" with 16 hexadecimal digits for any other extended community.
func ParseCommunity(s string) (Community, error) {
	kind, rest, _ := strings.Cut(s, ":")
	var c Community
	var err error
	switch kind {
	case "large":
		c.Kind = LargeCommunity
		err = numbers(rest, 32, &c.A, &c.B, &c.C)
	case "rt":
		c, err = twoPart(rest, 0x02)
	case "soo":
		c, err = twoPart(rest, 0x03)
	case "ext":
		c, err = rawExtended(rest)
	default:
		err = numbers(s, 16, &c.A, &c.B)
	}
	if err != nil {
		return Community{}, fmt.Errorf("community %q: %w", s, err)
	}
	return c, nil
}

// numbers reads as many colon-separated numbers as there are destinations.
func numbers(s string, bits int, dst ...*uint32) error {
	parts := strings.Split(s, ":")
	if len(parts) != len(dst) {
		return fmt.Errorf("has %d numbers, wants %d", len(parts), len(dst))
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is no number of %d bits", p, bits)
		}
		*dst[i] = uint32(n)
	}
	return nil
}

// twoPart builds a two-octet AS specific community, or the four-octet one when the AS number
// needs it; the number beside a four-octet AS has 16 bits.
func twoPart(s string, subtype uint32) (Community, error) {
	var asn, n uint32
	if err := numbers(s, 32, &asn, &n); err != nil {
		return Community{}, err
	}
	if asn <= 0xffff {
		return Community{Kind: ExtendedCommunity, A: subtype<<16 | asn, B: n}, nil
	}
	if n > 0xffff {
		return Community{}, fmt.Errorf("number %d beside a four-octet AS number exceeds 16 bits", n)
	}
	return Community{Kind: ExtendedCommunity, A: 0x02<<24 | subtype<<16 | asn>>16, B: asn<<16 | n}, nil
}

func rawExtended(s string) (Community, error) {
	hex, ok := strings.CutPrefix(s, "0x")
	if !ok || len(hex) != 16 {
		return Community{}, fmt.Errorf("wants ext:0x and 16 hexadecimal digits")
	}
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return Community{}, fmt.Errorf("%q is not hexadecimal", hex)
	}
	return Community{Kind: ExtendedCommunity, A: uint32(v >> 32), B: uint32(v)}, nil
}
