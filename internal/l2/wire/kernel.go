// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// networkOrder returns a number whose octets in memory are those of v from the high one on.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// The flags of an address that cannot be used (RFC 4862 2), from linux/if_addr.h.
const (
	addrDADFailed = 0x08
	addrTentative = 0x40
)

// linkLocal returns the link-local address of an interface that may be a source, :: if there
// is none now.
func linkLocal(link int) netip.Addr {
	all, _ := os.ReadFile("/proc/net/if_inet6") // missing without IPv6, which is the same as empty
	for _, f := range fields(all, 6) {          // address, link, prefix, scope, flags, name
		index, err := strconv.ParseUint(f[1], 16, 32)
		if err != nil || int(index) != link {
			continue
		}
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err != nil || flags&(addrDADFailed|addrTentative) != 0 {
			continue
		}
		if a, ok := hexAddr(f[0]); ok && a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.IPv6Unspecified()
}

// kernelGroups returns the groups of IPv6 that the kernel itself is a member of on an
// interface, for addresses of its own or for sockets.
func kernelGroups(link int) map[netip.Addr]struct{} {
	out := make(map[netip.Addr]struct{})
	all, _ := os.ReadFile("/proc/net/igmp6") // missing without IPv6
	for _, f := range fields(all, 3) {       // link, name, group
		if index, err := strconv.Atoi(f[0]); err != nil || index != link {
			continue
		}
		if a, ok := hexAddr(f[2]); ok {
			out[a] = struct{}{}
		}
	}
	return out
}

// fields returns the fields of each line that has enough of them.
func fields(text []byte, atLeast int) [][]string {
	var out [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= atLeast {
			out = append(out, f)
		}
	}
	return out
}

func hexAddr(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	return a, ok && a.Is6()
}
