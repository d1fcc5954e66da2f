// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"testing"
	"time"
)

// seen makes an outage of claims of address "a": each rune of a host's line is 10 ms, a dot
// being silence.
func seen(lines map[string]string) Outage {
	var o Outage
	longest := 0
	for _, l := range lines {
		longest = max(longest, len(l))
	}
	for at := range longest {
		for _, host := range []string{"n1", "n2", "n3"} {
			if l := lines[host]; at < len(l) && l[at] != '.' {
				o.claims = append(o.claims, claim{Time: time.UnixMilli(int64(at) * 10), Host: host, Addr: "a", MAC: "m"},
					claim{Time: time.UnixMilli(int64(at) * 10), Host: host, Addr: "b", MAC: "m"}, claim{Time: time.UnixMilli(int64(at) * 10), Host: "client", Addr: "a"})
			}
		}
	}
	return o
}

func TestWireTellsSilenceTwoOwnersAndMoves(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		lines map[string]string
		want  Wire
	}{
		"nothing happens": {map[string]string{"n1": "xxxxxxxxxx"}, Wire{10 * ms, 0, 0, "n1", "n1"}},
		"death":           {map[string]string{"n1": "xxxxxx", "n2": "................xxxx"}, Wire{110 * ms, 0, 1, "n1", "n2"}},
		"handover":        {map[string]string{"n1": "xxxxxxxx", "n2": "......xxxxx"}, Wire{10 * ms, 10 * ms, 1, "n1", "n2"}},
		"two owners, and back": {map[string]string{"n1": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "n2": "......xxxxx"},
			Wire{10 * ms, 40 * ms, 1, "n1", "n1"}},
		"away and back": {map[string]string{"n1": "xxxxx........................xxxx", "n2": ".....xxxxxxxxxxxxxxxxxxxxxxxx"},
			Wire{10 * ms, 0, 2, "n1", "n1"}},
	} {
		if got := seen(c.lines).Wire("a", time.UnixMilli(45)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTakeOversNameWhatNobodyTook(t *testing.T) {
	o := seen(map[string]string{"n1": "xxxxx", "n2": ".......x"})
	owners := o.Owners(time.UnixMilli(45))
	owners["c"] = "n1"
	took, missing := o.TakeOvers(owners, time.UnixMilli(45))
	if len(took) != 2 || took[0] != 25*time.Millisecond || len(missing) != 1 || missing[0] != "c" {
		t.Errorf("took %v, missing %v", took, missing)
	}
}
