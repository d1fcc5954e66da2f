// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// ask sends ARP requests and neighbour solicitations for addresses from a host of the lab, where this
// program runs again: for each every 10 ms, or for each once. Who answers is seen by the capture.
const askPeriod = 10 * time.Millisecond

// askHost is the host that asks. The client must not: its kernel keeps what it learns.
const askHost = "router"

// startAsking asks for an address until stop is called.
func (e *env) startAsking(ctx context.Context, addr string) (stop func(), err error) {
	cmd, err := e.askCommand(ctx, "-every", addr)
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", addr, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error says that it was killed
	}, nil
}

// askOnce asks for each address once.
func (e *env) askOnce(ctx context.Context, addrs []string) error {
	cmd, err := e.askCommand(ctx, append([]string{"-once"}, addrs...)...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ask for %d addresses: %w: %s", len(addrs), err, out)
	}
	return nil
}

func (e *env) askCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	args = append([]string{"--name", e.lab.Name, "exec", askHost, "--", self, askVerb}, args...)
	return exec.CommandContext(ctx, e.lab.Bin, args...), nil //nolint:gosec // the lab's own program
}

// askVerb is the hidden benchmark name by which the program asks.
const askVerb = "ask"

// ask is the program in the namespace of askHost.
func ask(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: bench %s -every|-once ADDRESS [ADDRESS]", askVerb)
	}
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	var frames [][]byte
	for _, a := range args[1:] {
		frame, err := question(link, a)
		if err != nil {
			return fmt.Errorf("ask for %s: %w", a, err)
		}
		frames = append(frames, frame)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // receives nothing
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: link.Index}
	for ctx.Err() == nil {
		for i, frame := range frames {
			if err := unix.Sendto(fd, frame, 0, to); err != nil {
				return fmt.Errorf("ask for %s: %w", args[1+i], err)
			}
		}
		if args[0] != "-every" {
			return nil
		}
		time.Sleep(askPeriod)
	}
	return nil
}

// question returns the frame that asks for an address from a link.
func question(link *net.Interface, address string) ([]byte, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	self, err := addressOf(link, addr.Is4())
	if err != nil {
		return nil, err
	}
	if addr.Is4() {
		return request(link.HardwareAddr, self, addr), nil
	}
	return solicitation(link.HardwareAddr, self, addr), nil
}

// addressOf returns the first address of a link in the family asked for.
func addressOf(link *net.Interface, v4 bool) (netip.Addr, error) {
	addrs, err := link.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", link.Name, err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() == v4 {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address of this family", link.Name)
}

// request is an ordinary broadcast ARP request. One without a sender's address would be taken
// for a newcomer's probe, which is about to use the address (RFC 5227 1.1).
func request(mac net.HardwareAddr, self, addr netip.Addr) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, mac...), self.AsSlice()...)
	return append(append(b, 0, 0, 0, 0, 0, 0), addr.AsSlice()...)
}

// solicitation is a multicast neighbour solicitation with the source's hardware address (RFC 4861 4.3).
// One from the unspecified address would be taken for duplicate address detection.
func solicitation(mac net.HardwareAddr, self, addr netip.Addr) []byte {
	a := addr.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16() // RFC 4291 2.7.1: solicited-node
	copy(group[13:], a[13:])
	m := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, a[:]...)
	m = append(append(m, 1, 1), mac...) // option 1: source link-layer address
	pseudo := append(append(self.AsSlice(), group[:]...), 0, 0, 0, byte(len(m)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(m[2:], checksum(append(pseudo, m...)))

	b := append([]byte{0x33, 0x33, group[12], group[13], group[14], group[15]}, mac...) // RFC 2464 7
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(m)), unix.IPPROTO_ICMPV6, 255)
	b = append(append(b, self.AsSlice()...), group[:]...)
	return append(b, m...)
}

// checksum is that of RFC 1071 over an even number of octets.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
