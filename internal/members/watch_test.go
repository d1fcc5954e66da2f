// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/watch"
)

// watched switches the direct watch on.
func watched(c *Config) { c.Watch = true }

func TestSilentMemberThatAnswersPingsStays(t *testing.T) {
	all := cluster(t, 3, watched)
	var began bool
	all[0].stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action {
		out := w.SetSessions([]watch.Session{{Node: "n2", Silent: true}}, now)
		_, began = w.Next() // to be asked here: the answers come within a millisecond
		return out
	})
	if !began {
		t.Fatal("silence is not looked into")
	}
	inquiring := func() bool {
		all[0].mu.Lock()
		defer all[0].mu.Unlock()
		_, busy := all[0].watch.machine.Next()
		return busy
	}
	for deadline := time.Now().Add(patience); inquiring(); {
		if time.Now().After(deadline) {
			t.Fatal("the inquiry does not end")
		}
		<-time.After(time.Millisecond)
	}
	if v := all[0].View(); !members("n1", "n2", "n3")(v) {
		t.Errorf("the view is %v", v)
	}
	if c := all[0].Observe().Counts; c.Found != 0 {
		t.Errorf("found %d gone", c.Found)
	}
}

// The finding reaches all, the one it is about proves its place, and all count it again.
func TestMemberFoundGoneInErrorComesBack(t *testing.T) {
	all := cluster(t, 4, watched)
	all[0].stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action {
		var out []watch.Action
		for _, n := range []string{"n2", "n3", "n4"} {
			out = append(out, watch.Action{Op: watch.Send, To: n, Message: watch.Message{Kind: watch.Gone, From: "n1", Node: "n2", Serial: uint64(now)}})
		}
		return out
	})
	all[1].until(t, "the accusation", func(lb.View) bool { return all[1].Observe().Accused == 1 })
	for _, s := range all {
		s.until(t, "everybody", members("n1", "n2", "n3", "n4"))
	}
	all[2].until(t, "the finding", func(lb.View) bool { return all[2].Observe().Found == 1 })
}

func TestConfigFileSwitchesTheWatchOff(t *testing.T) {
	c := configOf(1)
	c.Watch = true
	if m := start(t, c); !m.Watches() {
		t.Error("it is off without a reason")
	}
	c = configOf(2)
	c.Watch, c.WAN = true, true
	if m := start(t, c); m.Watches() {
		t.Error("a cluster that spans sites is watched")
	}
}
