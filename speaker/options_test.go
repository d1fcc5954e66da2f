// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/members"
)

// with returns the options that flags and environment of a MetalLB manifest give.
func with(t *testing.T, env map[string]string, args ...string) options {
	t.Helper()
	o, _, err := parse(append([]string{"--node-name", "n1", "--namespace", "metallb-system"}, args...), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// What MetalLB's own manifest sets is all that membership needs.
func TestMembershipComesFromMetalLBsEnvironment(t *testing.T) {
	o := with(t, map[string]string{
		"METALLB_ML_BIND_ADDR":       "192.0.2.7",
		"METALLB_ML_LABELS":          "app=metallb,component=speaker",
		"METALLB_ML_SECRET_KEY_PATH": "/etc/ml_secret_key",
	})
	want := members.Config{
		Node: "n1", Bind: netip.MustParseAddrPort("192.0.2.7:7946"), KeyPath: "/etc/ml_secret_key",
		FilePath: "/etc/metallb/memberlist/config.json", Watch: true,
	}
	if got := o.membership(); got != want {
		t.Errorf("membership is %+v, want %+v", got, want)
	}
	if o.mlLabels != "app=metallb,component=speaker" {
		t.Errorf("speakers are found by %q", o.mlLabels)
	}
}

func TestMembershipFlags(t *testing.T) {
	base := []string{"--ml-bindaddr", "2001:db8::7", "--ml-labels", "app=speaker"}
	for name, c := range map[string]struct {
		args []string
		want func(*members.Config)
	}{
		"defaults":    {nil, func(*members.Config) {}},
		"port":        {[]string{"--ml-bindport", "7999"}, func(c *members.Config) { c.Bind = netip.MustParseAddrPort("[2001:db8::7]:7999") }},
		"key":         {[]string{"--ml-secret-key-path", "/key"}, func(c *members.Config) { c.KeyPath = "/key" }},
		"WAN":         {[]string{"--ml-wan-config"}, func(c *members.Config) { c.WAN = true }},
		"file":        {[]string{"--ml-config-path", "/f.json"}, func(c *members.Config) { c.FilePath = "/f.json" }},
		"no watching": {[]string{"--ml-watch-port", "0"}, func(c *members.Config) { c.Watch = false }},
		// Without labels nobody could be found: MetalLB takes that for no membership.
		"no labels":  {[]string{"--ml-labels", ""}, func(c *members.Config) { c.Bind = netip.AddrPort{} }},
		"no address": {[]string{"--ml-bindaddr", ""}, func(c *members.Config) { c.Bind = netip.AddrPort{} }},
	} {
		want := members.Config{
			Node: "n1", Bind: netip.MustParseAddrPort("[2001:db8::7]:7946"), FilePath: "/etc/metallb/memberlist/config.json", Watch: true,
		}
		c.want(&want)
		if got := with(t, nil, append(base, c.args...)...).membership(); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	o := with(t, map[string]string{"METALLB_ML_BIND_PORT": "7950", "METALLB_ML_BIND_ADDR": "192.0.2.1"}, "--ml-bindport", "7951")
	if o.mlBindPort != 7951 || o.mlBindAddr != "192.0.2.1" {
		t.Errorf("port %d, address %q", o.mlBindPort, o.mlBindAddr)
	}
	if o := with(t, map[string]string{"METALLB_ML_BIND_PORT": "7950"}); o.mlBindPort != 7950 {
		t.Errorf("port %d from the environment", o.mlBindPort)
	}
}

func TestMembershipMistakesAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"--ml-bindaddr=here":     "--ml-bindaddr",
		"--ml-labels=app=a,,":    `--ml-labels (METALLB_ML_LABELS) "app=a,," does not select`,
		"--ml-bindport=0":        "--ml-bindport 0",
		"--ml-bindport=65536":    "--ml-bindport 65536",
		"--ml-watch-port=-1":     "--ml-watch-port -1",
		"--ml-watch-port=100000": "--ml-watch-port 100000",
		"--ml-bindaddr=192.0.2.7 --ml-labels=a=b --ml-bindport=7947": "--ml-watch-port 7947 is the port of the membership",
	} {
		_, _, err := parse(append([]string{"--node-name=n1", "--namespace=m"}, strings.Fields(args)...), func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", args, err, want)
		}
	}
}
