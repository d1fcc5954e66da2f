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

// ask broadcasts ARP requests for addresses from a host of the lab, where this program runs
// again: for each every 10 ms, or for each once. Who answers is seen by the capture.
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
	self, err := addressOf(link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // receives nothing
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: link.Index}
	for ctx.Err() == nil {
		for _, a := range args[1:] {
			addr, err := netip.ParseAddr(a)
			if err != nil || !addr.Is4() {
				return fmt.Errorf("%q is no IPv4 address", a)
			}
			if err := unix.Sendto(fd, request(link.HardwareAddr, self, addr), 0, to); err != nil {
				return fmt.Errorf("ask for %s: %w", a, err)
			}
		}
		if args[0] != "-every" {
			return nil
		}
		time.Sleep(askPeriod)
	}
	return nil
}

// addressOf returns the IPv4 address of a link.
func addressOf(link *net.Interface) (netip.Addr, error) {
	addrs, err := link.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", link.Name, err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no IPv4 address", link.Name)
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
