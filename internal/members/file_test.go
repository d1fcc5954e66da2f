// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfTwoEntriesWithOneNameTheLastCounts(t *testing.T) {
	twice := strings.Replace(file, "{", `{"GOSSIPNODES": 7, "gossipnodes": 8, "x": 1, "X": 2,`, 1)
	for range 20 { // not by the order of a map
		p, unknown, err := ParseFile([]byte(twice))
		if err != nil || p.GossipNodes != 2 || !slices.Equal(unknown, []string{"X"}) {
			t.Fatalf("GossipNodes %d, unknown %q, %v; want 2, X", p.GossipNodes, unknown, err)
		}
	}
}

// Whatever the file holds: memberlist gets times and numbers that it can work with or the file
// is refused, and all speakers read the same out of it.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte(strings.Replace(file, "{", `{"Zeta": {"a": [1, "b"]}, "zeta": null,`, 1)))
	f.Add([]byte(strings.Replace(file, `"1s"`, `-1`, 1)))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, unknown, err := ParseFile(data)
		again, unknownAgain, errAgain := ParseFile(data)
		if p != again || !slices.Equal(unknown, unknownAgain) || (err == nil) != (errAgain == nil) {
			t.Fatalf("read as %+v %q %v, and then as %+v %q %v", p, unknown, err, again, unknownAgain, errAgain)
		}
		if err != nil {
			if diff := cmp.Diff(Parameters{}, p); diff != "" || !strings.HasPrefix(err.Error(), "parse memberlist config: ") {
				t.Errorf("refused with %v, but parameters %s", err, diff)
			}
			return
		}
		if p.ProbeTimeout <= 0 || p.ProbeTimeout > p.ProbeInterval || p.TCPTimeout <= 0 || p.GossipInterval <= 0 ||
			p.QueueCheckInterval <= 0 || p.PushPullInterval < 0 || p.GossipToTheDeadTime < 0 {
			t.Errorf("times nobody can keep to: %+v", p)
		}
		if min(p.SuspicionMult, p.SuspicionMaxTimeoutMult, p.AwarenessMaxMultiplier, p.GossipNodes, p.HandoffQueueDepth, p.UDPBufferSize) <= 0 ||
			min(p.IndirectChecks, p.RetransmitMult) < 0 {
			t.Errorf("numbers that mean nothing: %+v", p)
		}
	})
}
