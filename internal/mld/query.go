// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Query is a received Multicast Listener Query.
type Query struct {
	Version int // 1 or 2
	// Group is the group asked for, :: for all (a general query).
	Group netip.Addr
	// Sources are those asked for; none means any.
	Sources []netip.Addr
	// Delay is the Maximum Response Delay, within which to answer.
	Delay time.Duration
	// Robustness and Interval are the querier's variables; 0 when it does not say, as in
	// version 1.
	Robustness int
	Interval   time.Duration
}

// The ICMPv6 types (RFC 3810 5) and what surrounds them.
const (
	typeQuery    = 130
	typeReportV1 = 131
	typeDoneV1   = 132
	typeReportV2 = 143

	ipv6Len    = 40
	hopByHop   = 0
	icmpv6     = 58
	queryV1Len = 24
	queryV2Len = 28

	optPad1        = 0
	optRouterAlert = 5 // RFC 2711
)

// ParseQuery reads an IPv6 packet, from its version field on. It is false for whatever is
// not a query or must be ignored: RFC 3810 6.2 asks for a link-local source, a hop limit of 1
// and the router alert option, 8.1 for one of two lengths. The destination may be any address
// of the interface (5.1.14); whether it is one, the link has judged that delivered the frame.
func ParseQuery(b []byte) (Query, bool) {
	if len(b) < ipv6Len || b[0]>>4 != 6 || b[6] != hopByHop || b[7] != 1 {
		return Query{}, false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if ipv6Len+size > len(b) || !netip.AddrFrom16([16]byte(b[8:24])).IsLinkLocalUnicast() {
		return Query{}, false
	}
	body, ok := behindRouterAlert(b[ipv6Len : ipv6Len+size])
	if !ok || len(body) < queryV1Len || body[0] != typeQuery || Checksum(b[8:40], body) != 0 {
		return Query{}, false
	}
	q := Query{Version: 1, Group: netip.AddrFrom16([16]byte(body[8:24]))}
	if q.Group != netip.IPv6Unspecified() && !q.Group.IsMulticast() {
		return Query{}, false
	}
	code := binary.BigEndian.Uint16(body[4:])
	switch {
	case len(body) == queryV1Len:
		q.Delay = time.Duration(code) * time.Millisecond
		return q, true
	case len(body) < queryV2Len:
		return Query{}, false
	}
	q.Version, q.Delay = 2, maximumResponseDelay(code)
	q.Robustness, q.Interval = int(body[24]&7), queryInterval(body[25])
	n := int(binary.BigEndian.Uint16(body[26:]))
	rest := body[queryV2Len:]
	if len(rest) < 16*n || (n > 0 && !q.Group.IsMulticast()) {
		return Query{}, false
	}
	for i := range n {
		q.Sources = append(q.Sources, netip.AddrFrom16([16]byte(rest[16*i:])))
	}
	return q, true
}

// behindRouterAlert returns the ICMPv6 message behind a hop-by-hop header with the router
// alert for MLD. Options that must not be ignored are unknown here (RFC 8200 4.2).
func behindRouterAlert(b []byte) ([]byte, bool) {
	if len(b) < 8 || b[0] != icmpv6 {
		return nil, false
	}
	end := 8 * (int(b[1]) + 1)
	if end > len(b) {
		return nil, false
	}
	alert := false
	for options := b[2:end]; len(options) > 0; {
		if options[0] == optPad1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || len(options) < 2+int(options[1]) {
			return nil, false
		}
		value := options[2 : 2+int(options[1])]
		switch {
		case options[0] == optRouterAlert && len(value) == 2:
			alert = alert || (value[0] == 0 && value[1] == 0)
		case options[0]>>6 != 0:
			return nil, false
		}
		options = options[2+len(value):]
	}
	return b[end:], alert
}

// maximumResponseDelay decodes a Maximum Response Code (RFC 3810 5.1.3), up to 2.3 hours.
func maximumResponseDelay(code uint16) time.Duration {
	ms := int64(code)
	if code >= 0x8000 {
		ms = int64(code&0xfff|0x1000) << (code>>12&7 + 3)
	}
	return time.Duration(ms) * time.Millisecond
}

// queryInterval decodes a Querier's Query Interval Code (RFC 3810 5.1.9), up to 8.8 hours.
func queryInterval(code byte) time.Duration {
	s := int64(code)
	if code >= 0x80 {
		s = int64(code&0xf|0x10) << (code>>4&7 + 3)
	}
	return time.Duration(s) * time.Second
}
