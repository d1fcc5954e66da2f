// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"testing"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/mld"
)

// neighbour is somebody else on the segment.
func neighbour() l2.MAC { return l2.MAC{0x02, 0, 0, 0, 0x77, 0x77} }

func arpFrame(t testing.TB, request bool) []byte {
	t.Helper()
	b, err := encode(&l2.Action{
		Op: l2.SendARP, Addr: netip.MustParseAddr("10.99.0.2"), Dst: vip4(), MAC: neighbour(),
		DstMAC: l2.BroadcastMAC(), Request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ndpFrame(t testing.TB, m ndp.Message, to netip.Addr) []byte {
	t.Helper()
	body, err := encodeNDP(m, netip.MustParseAddr("fd99::2"), to)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := neighbour(), l2.MulticastMAC(to)
	b, err := (&ethernet.Frame{
		Destination: dst[:], Source: src[:], EtherType: ethernet.EtherTypeIPv6, Payload: body,
	}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nsFrame(t testing.TB) []byte {
	t.Helper()
	mac := neighbour()
	return ndpFrame(t, &ndp.NeighborSolicitation{
		TargetAddress: vip6(), Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac[:]}},
	}, l2.SolicitedNode(vip6()))
}

func TestWhatIsSentIsUnderstood(t *testing.T) {
	q, ok := decode(lb.IPv4, arpFrame(t, true))
	want := l2.Query{
		Kind: l2.ARPRequest, EthSrc: neighbour(), EthDst: l2.BroadcastMAC(),
		Sender: netip.MustParseAddr("10.99.0.2"), SenderMAC: neighbour(), Target: vip4(),
	}
	if !ok || q != want {
		t.Errorf("ARP: %+v %v", q, ok)
	}
	group := l2.SolicitedNode(vip6())
	want = l2.Query{
		Kind: l2.NeighborSolicitation, EthSrc: neighbour(), EthDst: l2.MulticastMAC(group),
		Sender: netip.MustParseAddr("fd99::2"), SenderMAC: neighbour(), HasOption: true, Target: vip6(), Dst: group,
	}
	if q, ok = decode(lb.IPv6, nsFrame(t)); !ok || q != want {
		t.Errorf("NS: %+v %v", q, ok)
	}
	na, err := encode(&l2.Action{
		Op: l2.SendNA, Addr: vip6(), MAC: neighbour(), Dst: netip.MustParseAddr("fd99::2"), DstMAC: l2.MAC{2}, Solicited: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want = l2.Query{
		Kind: l2.NeighborAdvertisement, EthSrc: neighbour(), EthDst: l2.MAC{2}, Sender: vip6(), SenderMAC: neighbour(),
		HasOption: true, Target: vip6(), Dst: netip.MustParseAddr("fd99::2"), SolicitedFlag: true,
	}
	if q, ok = decode(lb.IPv6, na); !ok || q != want {
		t.Errorf("NA: %+v %v", q, ok)
	}
}

// TestMalformedFramesAreDropped spoils one byte of a good frame at a time.
func TestMalformedFramesAreDropped(t *testing.T) {
	for name, c := range map[string]struct {
		family lb.Family
		at     int
		value  byte
	}{
		"hardware type":                         {lb.IPv4, 15, 6},
		"protocol type":                         {lb.IPv4, 16, 0x86},
		"hardware length":                       {lb.IPv4, 18, 8},
		"protocol length":                       {lb.IPv4, 19, 16},
		"operation":                             {lb.IPv4, 21, 3},
		"IP version":                            {lb.IPv6, 14, 0x40},
		"payload longer than the frame":         {lb.IPv6, 18, 0xff},
		"payload too short, RFC 4861 7.1.1":     {lb.IPv6, 19, 20},
		"next header":                           {lb.IPv6, 20, 17},
		"hop limit, RFC 4861 7.1.1":             {lb.IPv6, 21, 254},
		"router advertisement":                  {lb.IPv6, 54, 134},
		"code, RFC 4861 7.1.1":                  {lb.IPv6, 55, 1},
		"checksum, RFC 4861 7.1.1":              {lb.IPv6, 57, 0},
		"target, so that the checksum is off":   {lb.IPv6, 77, 9},
		"option of length zero, RFC 4861 7.1.1": {lb.IPv6, 79, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := arpFrame(t, true)
			if c.family == lb.IPv6 {
				b = nsFrame(t)
			}
			if _, ok := decode(c.family, b); !ok {
				t.Fatal("the good frame is refused")
			}
			b[c.at] = c.value
			if q, ok := decode(c.family, b); ok {
				t.Errorf("accepted as %+v", q)
			}
		})
	}
}

func TestAnOptionOfLengthZeroIsRefusedEvenWithItsChecksumRight(t *testing.T) {
	b := nsFrame(t)
	b[79] = 0
	b[56], b[57] = 0, 0
	sum := mld.Checksum(b[22:54], b[54:])
	b[56], b[57] = byte(sum>>8), byte(sum)
	if q, ok := decode(lb.IPv6, b); ok {
		t.Errorf("accepted as %+v", q)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(arpFrame(f, true))
	f.Add(nsFrame(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, family := range []lb.Family{lb.IPv4, lb.IPv6} {
			q, ok := decode(family, b)
			if ok && (!q.Target.IsValid() || !q.Sender.IsValid() || q.Kind == 0) {
				t.Errorf("%s: incomplete query %+v", family, q)
			}
		}
	})
}

// queryFrame is an MLD query as far as a filter looks, with so many octets of options.
func queryFrame(options int) []byte {
	b := make([]byte, etherLen+ipv6Len+options+28)
	b[12], b[13], b[14] = 0x86, 0xdd, 0x60
	b[ipv6Next], b[ipv6Hops] = unix.IPPROTO_HOPOPTS, 1
	b[hopByHopNext], b[hopByHopLen] = unix.IPPROTO_ICMPV6, byte(options/8-1)
	b[hopByHopNext+options] = typeMLDQuery
	return b
}

// TestFiltersPassWhatMatters runs the kernel's filters in a virtual machine. It cannot know
// the packet type of a frame, which is only loaded for the comparison with "other host";
// TestFramesForOtherHostsStayInTheKernel covers that on a real socket.
func TestFiltersPassWhatMatters(t *testing.T) {
	spoil := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	na := ndpFrame(t, &ndp.NeighborAdvertisement{TargetAddress: vip6()}, l2.AllNodes())
	ra := ndpFrame(t, &ndp.RouterAdvertisement{}, l2.AllNodes())
	for name, c := range map[string]struct {
		filter []bpf.Instruction
		frame  []byte
		pass   bool
	}{
		"ARP request":                   {arpFilter(newAddrSet([]netip.Addr{vip4()})), arpFrame(t, true), true},
		"ARP reply":                     {arpFilter(newAddrSet([]netip.Addr{vip4()})), arpFrame(t, false), true},
		"RARP":                          {arpFilter(newAddrSet([]netip.Addr{vip4()})), spoil(arpFrame(t, true), 21, 3), false},
		"ARP of token ring":             {arpFilter(newAddrSet([]netip.Addr{vip4()})), spoil(arpFrame(t, true), 15, 6), false},
		"ARP with long MACs":            {arpFilter(newAddrSet([]netip.Addr{vip4()})), spoil(arpFrame(t, true), 18, 8), false},
		"solicitation":                  {ndpFilter(newAddrSet([]netip.Addr{vip6()})), nsFrame(t), true},
		"advertisement":                 {ndpFilter(newAddrSet([]netip.Addr{vip6()})), na, true},
		"router advertisement":          {ndpFilter(newAddrSet([]netip.Addr{vip6()})), ra, false},
		"forwarded":                     {ndpFilter(newAddrSet([]netip.Addr{vip6()})), spoil(nsFrame(t), 21, 254), false},
		"with a code":                   {ndpFilter(newAddrSet([]netip.Addr{vip6()})), spoil(nsFrame(t), 55, 1), false},
		"MLD query":                     {ndpFilter(newAddrSet(nil)), queryFrame(8), true},
		"MLD query behind more options": {ndpFilter(newAddrSet(nil)), queryFrame(24), true},
		"MLD report":                    {ndpFilter(newAddrSet(nil)), spoil(queryFrame(8), 62, 143), false},
		"MLD query forwarded":           {ndpFilter(newAddrSet(nil)), spoil(queryFrame(8), 21, 64), false},
		"options before something else": {ndpFilter(newAddrSet(nil)), spoil(queryFrame(8), 54, 17), false},
		"options and no more":           {ndpFilter(newAddrSet(nil)), spoil(queryFrame(8), 55, 200), false},
		"TCP":                           {ndpFilter(newAddrSet([]netip.Addr{vip6()})), spoil(nsFrame(t), 20, 6), false},
	} {
		t.Run(name, func(t *testing.T) {
			vm, err := bpf.NewVM(withoutPacketType(c.filter))
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(c.frame)
			if err != nil {
				t.Fatal(err)
			}
			if pass := n > 0; pass != c.pass {
				t.Errorf("passes: %v, want %v", pass, c.pass)
			}
		})
	}
}

// withoutPacketType replaces the load of the packet type, which the virtual machine lacks,
// by that of a frame for this host.
func withoutPacketType(filter []bpf.Instruction) []bpf.Instruction {
	for i, in := range filter {
		if _, ok := in.(bpf.LoadExtension); ok {
			filter[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: 0}
		}
	}
	return filter
}

func TestTheTargetHardwareAddressOfEachARPForm(t *testing.T) {
	mac, asker := neighbour(), l2.MAC{2, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		action l2.Action
		want   l2.MAC
	}{
		"gratuitous request, RFC 5227 2.3": {l2.Action{Request: true, Gratuitous: true, DstMAC: l2.BroadcastMAC()}, l2.MAC{}},
		"probe, RFC 5227 2.1.1":            {l2.Action{Request: true, DstMAC: l2.BroadcastMAC()}, l2.MAC{}},
		"gratuitous reply, as Linux wants": {l2.Action{Gratuitous: true, DstMAC: l2.BroadcastMAC()}, mac},
		"answer, RFC 826":                  {l2.Action{DstMAC: asker}, asker},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.action
			a.Op, a.Addr, a.Dst, a.MAC = l2.SendARP, vip4(), vip4(), mac
			b, err := encode(&a)
			if err != nil {
				t.Fatal(err)
			}
			if got := l2.MAC(b[32:38]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
