// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgptest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

type fakeLab struct{ *Fake }

func (l fakeLab) Router() bgp.Router { return l.Fake }

func (l fakeLab) Peer(name string) lb.Peer {
	p := lb.Peer{Name: name, MyASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr("127.0.0.1"), Port: 179}
	if name == "silent" {
		p.PeerASN = Silent
	}
	return p
}

func TestFakeKeepsTheContract(t *testing.T) {
	Contract(t, func(*testing.T) Lab { return fakeLab{NewFake()} }, time.Second)
}
