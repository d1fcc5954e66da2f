// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestParamsOf(t *testing.T) {
	p := lb.DefaultBFDProfile("p")
	want := Params{TransmitInterval: ms(300), ReceiveInterval: ms(300), Multiplier: 3, EchoReceive: ms(50)}
	if got := ParamsOf(p, false); got != want {
		t.Errorf("defaults: %+v, want %+v", got, want)
	}
	p.EchoMode, p.PassiveMode = true, true
	want.EchoTransmit, want.Passive = ms(50), true
	if got := ParamsOf(p, false); got != want {
		t.Errorf("echo: %+v, want %+v", got, want)
	}
	want.EchoTransmit, want.EchoReceive = 0, 0
	if got := ParamsOf(p, true); got != want {
		t.Errorf("across hops: %+v, want %+v", got, want)
	}
}
