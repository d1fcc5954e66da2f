// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import "github.com/clarion-lb/clarion/internal/lb"

// ParamsOf turns a profile into the parameters of a session. Echo packets of the neighbour are
// returned whether or not we send our own; across hops there is no echo (RFC 5883 3).
func ParamsOf(p lb.BFDProfile, multiHop bool) Params {
	params := Params{
		TransmitInterval: p.TransmitInterval,
		ReceiveInterval:  p.ReceiveInterval,
		Multiplier:       p.DetectMultiplier,
		Passive:          p.PassiveMode,
	}
	if multiHop {
		return params
	}
	params.EchoReceive = p.EchoInterval
	if p.EchoMode {
		params.EchoTransmit = p.EchoInterval
	}
	return params
}
