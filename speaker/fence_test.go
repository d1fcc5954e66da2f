// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

type standing struct {
	fresh, awake bool
	fences       uint64
}

func (s standing) Fresh() bool    { return s.fresh }
func (s standing) Awake() bool    { return s.awake }
func (s standing) Fences() uint64 { return s.fences }

func TestTheWireSpeaksOnlyForAViewThatStillStands(t *testing.T) {
	for name, c := range map[string]struct {
		standing
		leaving bool
		planned uint64
		want    bool
	}{
		"member in good standing":            {standing{true, true, 3}, false, 3, true},
		"not proven":                         {standing{false, true, 3}, false, 3, false},
		"stands still":                       {standing{false, false, 3}, false, 3, false},
		"proven anew, plan of before":        {standing{true, true, 4}, false, 3, false},
		"proven anew, planned anew":          {standing{true, true, 4}, false, 4, true},
		"hands over":                         {standing{false, true, 3}, true, 3, true},
		"stood still while handing over":     {standing{false, false, 3}, true, 3, false},
		"woke up while handing over":         {standing{false, true, 4}, true, 3, false},
		"has no link and does not leave":     {standing{false, true, 4}, false, 4, false},
		"membership is off":                  {standing{true, true, 0}, false, 0, true},
		"membership is off, and it is going": {standing{true, true, 0}, true, 0, true},
	} {
		if got := mayAnswer(c.standing, c.leaving, c.planned); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A speaker that was stopped, woken up and told to end must not go on answering as one that hands
// over does: whether it was a member when it began to leave is asked first.
func TestSIGTERMAfterSIGCONTHandsNothingOver(t *testing.T) {
	woken := standing{fresh: false, awake: false, fences: 3} // no beat yet: nothing was noticed
	leaving := mayAnswer(woken, false, 3)
	if leaving {
		t.Error("it takes itself for a member that hands over")
	}
	woken.awake, woken.fences = true, 4 // the first beat
	if mayAnswer(woken, leaving, 3) {
		t.Error("it answers for what others have by now")
	}
}
