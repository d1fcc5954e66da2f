// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Cut is one partition: what From sends to To is dropped on the bridge, and
// the other way round unless OneWay. With Ports, only TCP and UDP from or to
// these ports is dropped.
type Cut struct {
	From, To string
	OneWay   bool
	Ports    []uint
}

// faultTable holds all cuts, so that removing it heals them all.
const faultTable = "bridge clarion_lab"

// Partition adds a cut to those there are.
func (f *Faults) Partition(c Cut) error {
	for _, h := range []string{c.From, c.To} {
		if _, err := f.Config.Addrs(h); err != nil {
			return err
		}
	}
	if c.From == c.To {
		return fmt.Errorf("%s cannot be cut from itself", c.From)
	}
	return nft(f.Config.Lab, c.rules())
}

// rules returns the cut in nft's language.
func (c Cut) rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "add table %s\n", faultTable)
	fmt.Fprintf(&b, "add chain %s forward { type filter hook forward priority 0; }\n", faultTable)
	ways := [][2]string{{c.From, c.To}}
	if !c.OneWay {
		ways = append(ways, [2]string{c.To, c.From})
	}
	for _, w := range ways {
		match := fmt.Sprintf("add rule %s forward iifname %q oifname %q", faultTable, w[0], w[1])
		if len(c.Ports) == 0 {
			fmt.Fprintf(&b, "%s counter drop\n", match)
			continue
		}
		var ports []string
		for _, p := range c.Ports {
			ports = append(ports, fmt.Sprint(p))
		}
		for _, side := range []string{"sport", "dport"} {
			fmt.Fprintf(&b, "%s meta l4proto { tcp, udp } th %s { %s } counter drop\n", match, side, strings.Join(ports, ", "))
		}
	}
	return b.String()
}

// Heal removes all cuts and plugs in every cable. Nodes that are off stay off.
func (f *Faults) Heal() error {
	l := f.Config.Lab
	// add before delete: deleting what is not there would fail.
	errs := []error{nft(l, "add table "+faultTable+"\ndelete table "+faultTable+"\n")}
	for _, h := range l.Hosts() {
		if host.NetnsExists(l.Netns(h)) {
			errs = append(errs, host.SetLink(l, h, true))
		}
	}
	return errors.Join(errs...)
}

// cuts returns the rules in force, for `lab status`.
func cuts(l topo.Lab) []string {
	var out []byte
	_ = host.Do(l.Netns(topo.LAN), func() (err error) {
		out, err = exec.Command("nft", "list", "table", "bridge", "clarion_lab").Output()
		return err
	})
	var rules []string
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "iifname") {
			rules = append(rules, strings.TrimSpace(line))
		}
	}
	return rules
}

func nft(l topo.Lab, script string) error {
	return host.Do(l.Netns(topo.LAN), func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(script)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("load nft rules: %w: %s", err, stderr.String())
		}
		return nil
	})
}
