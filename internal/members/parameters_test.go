// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSizeHasHysteresis(t *testing.T) {
	for _, c := range []struct {
		n       int
		current Size
		want    Size
	}{
		{1, Small, Small}, {32, Small, Small}, {33, Small, Medium},
		{32, Medium, Medium}, {26, Medium, Medium}, {25, Medium, Small},
		{100, Medium, Medium}, {101, Medium, Large}, {101, Small, Large},
		{100, Large, Large}, {81, Large, Large}, {80, Large, Medium}, {25, Large, Small}, {26, Large, Medium},
	} {
		if got := SizeOf(c.n, c.current); got != c.want {
			t.Errorf("%d members run as %s become %s, want %s", c.n, c.current, got, c.want)
		}
	}
}

func TestEarliestDeathFollowsTheSize(t *testing.T) {
	for _, c := range []struct {
		size Size
		n    int
		want time.Duration
	}{
		{Small, 1, 240 * time.Millisecond},
		{Small, 10, 240 * time.Millisecond},
		{Medium, 100, time.Second},
		{Large, 1000, 5 * time.Second},
	} {
		if got := ForSize(c.size).Earliest(c.n); got != c.want {
			t.Errorf("%d members, %s: %s, want %s", c.n, c.size, got, c.want)
		}
	}
	if got := WAN().Earliest(3); got != 35*time.Second {
		t.Errorf("WAN: %s, want 35s", got)
	}
}

// A helper's "no answer" must arrive while the prober still listens.
func TestProbeLeavesTimeForTheHelpers(t *testing.T) {
	for _, size := range []Size{Small, Medium, Large} {
		if p := ForSize(size); p.ProbeTimeout*2 >= p.ProbeInterval {
			t.Errorf("%s: two timeouts of %s do not fit into %s", size, p.ProbeTimeout, p.ProbeInterval)
		}
	}
}

const file = `{
	"TCPTimeout": "10s", "IndirectChecks": 3, "RetransmitMult": 4, "SuspicionMult": 5,
	"SuspicionMaxTimeoutMult": 6, "PushPullInterval": "30s", "ProbeTimeout": 500000000, "ProbeInterval": "1s",
	"DisableTcpPings": false, "AwarenessMaxMultiplier": 8, "GossipNodes": 2, "GossipInterval": "200ms",
	"GossipToTheDeadTime": "30s", "GossipVerifyIncoming": true, "GossipVerifyOutgoing": false,
	"EnableCompression": true, "HandoffQueueDepth": 1024, "UDPBufferSize": 1400, "QueueCheckInterval": "30s"
}`

func TestConfigFileSetsEveryField(t *testing.T) {
	got, unknown, err := ParseFile([]byte(file))
	if err != nil || unknown != nil {
		t.Fatal(err, unknown)
	}
	want := Parameters{
		TCPTimeout: 10 * time.Second, IndirectChecks: 3, RetransmitMult: 4, SuspicionMult: 5,
		SuspicionMaxTimeoutMult: 6, PushPullInterval: 30 * time.Second,
		ProbeTimeout: 500 * time.Millisecond, ProbeInterval: time.Second,
		AwarenessMaxMultiplier: 8, GossipNodes: 2, GossipInterval: 200 * time.Millisecond,
		GossipToTheDeadTime: 30 * time.Second, GossipVerifyIncoming: true, EnableCompression: true,
		HandoffQueueDepth: 1024, UDPBufferSize: 1400, QueueCheckInterval: 30 * time.Second,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConfigFileMistakesAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"not JSON":        {file, "TCPTimeout: 10s", "parse memberlist config: invalid character"},
		"empty":           {file, "{}", "missing TCPTimeout, IndirectChecks, RetransmitMult, SuspicionMult, SuspicionMaxTimeoutMult, PushPullInterval, ProbeTimeout, ProbeInterval, DisableTcpPings, AwarenessMaxMultiplier, GossipNodes, GossipInterval, GossipToTheDeadTime, GossipVerifyIncoming, GossipVerifyOutgoing, EnableCompression, HandoffQueueDepth, UDPBufferSize, QueueCheckInterval: all 19"},
		"one missing":     {`"SuspicionMult": 5,`, "", "missing SuspicionMult: all 19"},
		"null":            {`"SuspicionMult": 5`, `"SuspicionMult": null`, "missing SuspicionMult"},
		"duration":        {`"TCPTimeout": "10s"`, `"TCPTimeout": "ten"`, `field TCPTimeout: "ten" is no duration`},
		"zero interval":   {`"ProbeInterval": "1s"`, `"ProbeInterval": 0`, "field ProbeInterval: 0 is not positive"},
		"negative":        {`"TCPTimeout": "10s"`, `"TCPTimeout": "-1s"`, `field TCPTimeout: "-1s" is negative`},
		"text for number": {`"GossipNodes": 2`, `"GossipNodes": "2"`, `field GossipNodes: "2" is no whole number`},
		"fraction":        {`"GossipNodes": 2`, `"GossipNodes": 2.5`, "field GossipNodes: 2.5 is no whole number"},
		"negative number": {`"GossipNodes": 2`, `"GossipNodes": -2`, "field GossipNodes: -2 is negative"},
		"no flag":         {`"EnableCompression": true`, `"EnableCompression": 1`, "field EnableCompression: 1 is neither"},
		"probe too short": {`"ProbeInterval": "1s"`, `"ProbeInterval": "400ms"`, "ProbeTimeout 500ms exceeds ProbeInterval 400ms"},
		"two mistakes":    {`"TCPTimeout": "10s", "IndirectChecks": 3`, `"TCPTimeout": true, "IndirectChecks": false`, "field IndirectChecks: false"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ParseFile([]byte(strings.Replace(file, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestConfigFileNamesWhatMeansNothing(t *testing.T) {
	_, unknown, err := ParseFile([]byte(strings.Replace(file, "{", `{"Zeta": 1, "Alpha": 2,`, 1)))
	if d := cmp.Diff([]string{"Alpha", "Zeta"}, unknown); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestConfigFileNamesMayHaveAnyCase(t *testing.T) {
	if _, _, err := ParseFile([]byte(strings.Replace(file, "DisableTcpPings", "disableTCPPings", 1))); err != nil {
		t.Error(err)
	}
}
