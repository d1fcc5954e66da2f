// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld_test

import (
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/mld"
)

func TestAnOlderQuerierHearsItsOwnVersion(t *testing.T) {
	h := newHost()
	h.Join(group(1))
	h.Join(group(2))
	h.run(t, time.Minute)
	h.ask(generalV1(10 * time.Second))
	sent := h.run(t, 10*time.Second)
	if got := kinds(sent, mld.ReportV1); len(sent) != 2 || got[group(1)] != 1 || got[group(2)] != 1 {
		t.Errorf("general query: %+v", sent)
	}
	h.ask(mld.Query{Version: 1, Group: group(1), Delay: time.Second})
	sent = h.run(t, time.Second)
	if len(sent) != 1 || sent[0].Kind != mld.ReportV1 || sent[0].Group != group(1) || sent[0].Dst() != group(1) {
		t.Errorf("query of a group: %+v", sent)
	}
	h.ask(general(time.Second)) // a newer one beside it changes nothing, 8.2.1
	if sent = h.run(t, time.Second); len(kinds(sent, mld.ReportV1)) != 2 {
		t.Errorf("general query of version 2: %+v", sent)
	}
	h.Join(group(3))
	if sent = h.run(t, 11*time.Second); len(sent) != 2 || kinds(sent, mld.ReportV1)[group(3)] != 2 {
		t.Errorf("join: %+v", sent)
	}
	h.Leave(group(3))
	sent = h.run(t, 11*time.Second)
	if len(sent) != 1 || sent[0].Kind != mld.DoneV1 || sent[0].Group != group(3) || sent[0].Dst().String() != "ff02::2" {
		t.Errorf("leave: %+v", sent)
	}
}

func TestVersion2ReturnsWhenTheOlderQuerierHasBeenSilent(t *testing.T) {
	h := newMember(t)
	h.ask(generalV1(10 * time.Second))
	h.run(t, 10*time.Second)
	// RFC 3810 9.12: twice 125 s and the 10 s of the query.
	h.run(t, 249*time.Second)
	h.ask(general(500 * time.Millisecond))
	if sent := h.run(t, 500*time.Millisecond); len(sent) != 1 || sent[0].Kind != mld.ReportV1 {
		t.Errorf("shortly before: %+v", sent)
	}
	h.run(t, 500*time.Millisecond)
	h.ask(general(time.Second))
	if sent := h.run(t, time.Second); len(sent) != 1 || sent[0].Kind != mld.ReportV2 {
		t.Errorf("afterwards: %+v", sent)
	}
}

func TestAChangeOfVersionCancelsWhatIsPending(t *testing.T) {
	h := newMember(t)
	h.Join(group(2))
	h.run(t, 0)
	h.Leave(group(2))
	h.run(t, 0)
	h.Join(group(3)) // never told, so no repetition
	h.ask(specific(group(1), querier()))
	h.ask(general(time.Second))
	h.ask(mld.Query{Version: 1, Group: group(9), Delay: time.Second})
	sent := h.run(t, 30*time.Second)
	if got := kinds(sent, mld.ReportV1); len(sent) != 2 || got[group(3)] != 2 {
		t.Errorf("sent %+v", sent)
	}
}

func TestTenThousandGroupsArePacedInVersion1(t *testing.T) {
	const n = 10_000
	h := newHost()
	h.ask(generalV1(10 * time.Second))
	for i := range n {
		h.Join(group(i))
	}
	h.run(t, 20*time.Second)
	from := h.now.Sub(start())
	h.ask(generalV1(10 * time.Second))
	sent := h.run(t, 10*time.Second)
	if len(sent) != n || len(kinds(sent, mld.ReportV1)) != n {
		t.Errorf("%d reports", len(sent))
	}
	for half := range 10 {
		count := 0
		for _, s := range sent {
			if int((s.at-from)/time.Second) == half {
				count++
			}
		}
		if count < 950 || count > 1050 {
			t.Errorf("%d reports in second %d", count, half)
		}
	}
}
