// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Outage is what a client saw of an address that it asked all the time.
type Outage struct {
	Sent         int     `json:"sent"`
	Answered     int     `json:"answered"`
	Lost         int     `json:"lost"`
	LongestGapMS float64 `json:"longest_gap_ms"`
	// LossMS is the time from the first lost question to the last: how long some were lost,
	// although others may have found another way.
	LossMS  float64    `json:"loss_ms"`
	Gaps    []Gap      `json:"gaps"`
	Answers []Answerer `json:"answers"`
	// MaxSendDelayMS is the most that a question was late: gaps below it are the machine's.
	MaxSendDelayMS float64 `json:"max_send_delay_ms"`

	claims []claim
}

// Answerer is a pod that answered.
type Answerer struct {
	Pod   string `json:"pod"`
	Node  string `json:"node"`
	Count int    `json:"count"`
}

// claim is an ARP or NDP message on the LAN.
type claim struct {
	Time time.Time `json:"time"`
	Host string    `json:"host"` // who really sent it
	Kind string    `json:"kind"`
	Addr string    `json:"addr"`
	MAC  string    `json:"mac"` // who has Addr, according to the message; "" in a question
}

// Gap is a time without answers.
type Gap struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	MS    float64   `json:"ms"`
	Lost  int       `json:"lost"` // questions asked in the gap that never got an answer
	Open  bool      `json:"open"` // no answer came before it, or none after it
}

// firstAnswer is how long a watch waits for its first answer. A pod may have to start first, and after
// an outage of the API server kube-controller-manager and kube-proxy wait for up to a minute before
// they look at it again.
const firstAnswer = 3 * time.Minute

// Watch asks target ("addr:port") from the client host every 10 ms by UDP, from before
// event is called until settle after it has returned, and returns what the client saw.
func (l Lab) Watch(ctx context.Context, target string, settle time.Duration, event func() error) (Outage, error) {
	return l.WatchBy(ctx, "udp", target, settle, event)
}

// WatchBy is Watch with a protocol: udp needs a pod that the lab plays, tcp (connecting only)
// and http work with any.
func (l Lab) WatchBy(ctx context.Context, proto, target string, settle time.Duration, event func() error) (Outage, error) {
	capture, err := os.CreateTemp("", "clarion-neigh-")
	if err != nil {
		return Outage{}, fmt.Errorf("watch %s: %w", target, err)
	}
	defer func() { _ = errors.Join(capture.Close(), os.Remove(capture.Name())) }() // a temporary file
	cmd := l.command(ctx, "probe", target, "--proto", proto, "--interval", "10ms", "--neigh", capture.Name())
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return Outage{}, fmt.Errorf("watch %s: %w", target, err)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		return Outage{}, fmt.Errorf("watch %s: %w", target, err)
	}
	// The probe says on stderr when its first answer has come.
	said := bufio.NewScanner(stderr)
	giveUp := time.AfterFunc(firstAnswer, func() { _ = cmd.Process.Kill() }) // an error means that it has ended
	if !said.Scan() {
		return Outage{}, errors.Join(fmt.Errorf("watch %s: the probe ended without an answer within %s", target, firstAnswer), cmd.Wait())
	}
	giveUp.Stop()
	go func() {
		for said.Scan() { // keep the pipe empty
		}
	}()
	eventErr := event()
	if eventErr == nil {
		time.Sleep(settle)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return Outage{}, fmt.Errorf("watch %s: %w", target, err)
	}
	if err := cmd.Wait(); err != nil {
		return Outage{}, errors.Join(eventErr, fmt.Errorf("watch %s: %w", target, err))
	}
	var o Outage
	if err := json.Unmarshal(stdout.Bytes(), &o); err != nil {
		return o, fmt.Errorf("watch %s: read report: %w", target, err)
	}
	for d := json.NewDecoder(capture); ; {
		var c claim
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return o, eventErr
		} else if err != nil {
			return o, fmt.Errorf("watch %s: read capture: %w", target, err)
		}
		o.claims = append(o.claims, c)
	}
}

// TakeOver returns how long after a moment a host other than the old owner first said, asked
// or unasked, that it has the address.
func (o Outage) TakeOver(addr, old string, from time.Time) (time.Duration, error) {
	for _, c := range o.claims {
		if c.Addr == addr && c.MAC != "" && c.Host != old && c.Time.After(from) {
			return c.Time.Sub(from), nil
		}
	}
	return 0, fmt.Errorf("nobody but %s claimed %s", old, addr)
}

// LostMS is the longest time without answers in which a question was lost, in milliseconds. A
// machine that is busy delays answers without losing any; that is no outage.
func (o Outage) LostMS() float64 {
	longest := 0.0
	for _, g := range o.Gaps {
		if g.Lost > 0 {
			longest = max(longest, g.MS)
		}
	}
	return longest
}

// Claims returns, by host, when it said after a moment, asked or unasked, that it has the
// address. Of a host with several cables each is a host of its own.
func (o Outage) Claims(addr string, from time.Time) map[string][]time.Time {
	out := map[string][]time.Time{}
	for _, c := range o.claims {
		if c.Addr == addr && c.MAC != "" && c.Time.After(from) {
			out[c.Host] = append(out[c.Host], c.Time)
		}
	}
	return out
}

// Unasked returns, by host, when it said after a moment that it has the address without being
// asked: by a gratuitous ARP, or by an advertisement that answers no solicitation.
func (o Outage) Unasked(addr string, from time.Time) map[string][]time.Time {
	out := map[string][]time.Time{}
	for _, c := range o.claims {
		if (c.Kind == "gratuitous-arp" || c.Kind == "unsolicited-na") && c.Addr == addr && c.MAC != "" && c.Time.After(from) {
			out[c.Host] = append(out[c.Host], c.Time)
		}
	}
	return out
}

// MACs returns the hardware addresses that were said to be behind an address between two
// moments, in order.
func (o Outage) MACs(addr string, from, until time.Time) []string {
	var out []string
	for _, c := range o.claims {
		if c.Addr == addr && c.MAC != "" && c.Time.After(from) && c.Time.Before(until) {
			out = append(out, c.MAC)
		}
	}
	return out
}
