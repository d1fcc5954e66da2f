// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/mld"
)

func TestAJoinIsToldAtOnceAndOnceMoreWithinASecond(t *testing.T) {
	h := newHost()
	h.Join(group(1))
	h.Join(group(1))
	sent := h.run(t, time.Minute)
	if len(sent) != 2 || sent[0].at != 0 || sent[1].at <= 0 || sent[1].at > time.Second {
		t.Fatalf("sent %+v", sent)
	}
	for _, s := range sent {
		if s.Kind != mld.ReportV2 || len(s.Records) != 1 || s.Records[0].Type != mld.ToExclude || s.Records[0].Group != group(1) {
			t.Errorf("sent %+v", s)
		}
	}
}

func TestALeaveIsToldAndThenForgotten(t *testing.T) {
	h := newMember(t)
	h.Leave(group(1))
	h.Leave(group(2)) // never joined
	sent := h.run(t, time.Minute)
	if got := told(sent, mld.ToInclude); len(sent) != 2 || got[group(1)] != 2 {
		t.Errorf("sent %+v", sent)
	}
	h.ask(specific(group(1)))
	h.ask(general(time.Second))
	if sent := h.run(t, time.Minute); len(sent) != 0 {
		t.Errorf("answered for a group that was left: %+v", sent)
	}
}

func TestAForgottenGroupIsLeftSilently(t *testing.T) {
	h := newHost()
	h.Join(group(1))
	h.Forget(group(1))
	if sent := h.run(t, time.Minute); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
}

func TestTheLatestChangeIsToldAsOftenAsTheQuerierWants(t *testing.T) {
	h := newHost()
	q := general(time.Second)
	q.Robustness = 5
	h.ask(q)
	h.Join(group(1))
	h.run(t, 0)
	h.Leave(group(1))
	h.run(t, 0)
	h.Join(group(1))
	sent := h.run(t, time.Minute)
	if got := told(h.sent, mld.ToInclude)[group(1)]; got != 1 {
		t.Errorf("%d leaves, want the one that was told before the join", got)
	}
	if got := told(sent, mld.ToExclude)[group(1)]; got != 5 {
		t.Errorf("%d joins, want 5", got)
	}
}

func TestTenThousandJoinsTake164ReportsTwicePaced(t *testing.T) {
	const n = 10_000
	h := newHost()
	for i := range n {
		h.Join(group(i))
	}
	sent := h.run(t, time.Minute)
	if len(sent) < 328 || len(sent) > 331 { // the two rounds may share or split some
		t.Errorf("%d reports", len(sent))
	}
	got := told(sent, mld.ToExclude)
	if len(got) != n {
		t.Fatalf("%d groups told", len(got))
	}
	for g, times := range got {
		if times != 2 {
			t.Fatalf("%s told %d times", g, times)
		}
	}
	for i, s := range sent {
		if size := len(s.Packet(querier())); size > 1280 {
			t.Errorf("report of %d octets", size)
		}
		if i >= 20 && s.at-sent[i-20].at < 9*time.Millisecond {
			t.Fatalf("more than 20 reports in 9 ms, at %s", s.at)
		}
	}
	if first := sent[163].at; first > 300*time.Millisecond {
		t.Errorf("the first round took %s", first)
	}
}

func TestTheAnswerToAGeneralQueryIsSpreadOverItsDelay(t *testing.T) {
	const n = 10_000
	h := newHost()
	for i := range n {
		h.Join(group(i))
	}
	h.run(t, time.Minute)
	h.ask(general(10 * time.Second))
	sent := h.run(t, 10*time.Second)
	got := told(sent, mld.IsExclude)
	if len(sent) != 164 || len(got) != n || records(sent) != n {
		t.Errorf("%d reports with %d records for %d groups", len(sent), records(sent), len(got))
	}
	for i := 1; i < len(sent); i++ {
		if gap := sent[i].at - sent[i-1].at; gap < 50*time.Millisecond || gap > 70*time.Millisecond {
			t.Fatalf("gap of %s", gap)
		}
	}
	if more := h.run(t, time.Hour); len(more) != 0 {
		t.Errorf("more after the delay: %d", len(more))
	}
}

func TestOneReportIsDelayedAtRandom(t *testing.T) {
	h := newMember(t)
	var least, most time.Duration = time.Hour, 0
	for range 200 {
		begin := h.now.Sub(start())
		h.ask(general(10 * time.Second))
		sent := h.run(t, 10*time.Second)
		if len(sent) != 1 {
			t.Fatalf("sent %+v", sent)
		}
		delay := sent[0].at - begin
		least, most = min(least, delay), max(most, delay)
	}
	if least > time.Second || most < 9*time.Second {
		t.Errorf("delays from %s to %s", least, most)
	}
}

// TestQueriesWithoutEndNeitherSilenceNorMultiply asks every 10 ms.
func TestQueriesWithoutEndNeitherSilenceNorMultiply(t *testing.T) {
	const n = 1000
	for _, delay := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second} {
		h := newHost()
		for i := range n {
			h.Join(group(i))
		}
		h.run(t, time.Minute)
		from := len(h.sent)
		for range 2500 {
			h.ask(general(delay))
			h.run(t, 10*time.Millisecond)
		}
		sent := h.sent[from:]
		if got := told(sent, mld.IsExclude); len(got) != n {
			t.Errorf("delay %s: %d of %d groups answered for", delay, len(got), n)
		}
		if len(sent) > 25_100 {
			t.Errorf("delay %s: %d reports in 25 s", delay, len(sent))
		}
	}
}

func TestAQueryDuringTheAnswerIsAnsweredForAllGroups(t *testing.T) {
	const n = 10_000
	h := newHost()
	for i := range n {
		h.Join(group(i))
	}
	h.run(t, time.Minute)
	h.ask(general(10 * time.Second))
	h.run(t, 5*time.Second)
	h.Join(group(n)) // since then
	h.ask(general(4 * time.Second))
	if got := told(h.run(t, 4100*time.Millisecond), mld.IsExclude); len(got) != n+1 {
		t.Errorf("%d groups answered for", len(got))
	}
}

func TestASoonerGeneralQueryHastensTheAnswerAndALaterOneDoesNotDelayIt(t *testing.T) {
	h := newMember(t)
	h.ask(general(time.Hour))
	h.ask(general(time.Second))
	h.ask(general(time.Hour))
	if sent := h.run(t, time.Second); len(sent) != 1 {
		t.Errorf("sent %+v", sent)
	}
	if sent := h.run(t, 2*time.Hour); len(sent) != 0 {
		t.Errorf("and %+v", sent)
	}
}

func TestGroupsAreAnsweredForAlone(t *testing.T) {
	source, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	many := make([]netip.Addr, 0, 40)
	for a := source; len(many) < cap(many); a = a.Next() {
		many = append(many, a)
	}
	for name, c := range map[string]struct {
		queries []mld.Query
		want    mld.RecordType
		sources []netip.Addr
	}{
		"all sources":                        {[]mld.Query{specific(group(1))}, mld.IsExclude, nil},
		"one source":                         {[]mld.Query{specific(group(1), source)}, mld.IsInclude, []netip.Addr{source}},
		"rule 5, sources of two queries":     {[]mld.Query{specific(group(1), other), specific(group(1), source, other)}, mld.IsInclude, []netip.Addr{source, other}},
		"rule 4, a source and then all":      {[]mld.Query{specific(group(1), source), specific(group(1))}, mld.IsExclude, nil},
		"rule 4, all and then a source":      {[]mld.Query{specific(group(1)), specific(group(1), source)}, mld.IsExclude, nil},
		"more sources than are kept for one": {[]mld.Query{specific(group(1), many...)}, mld.IsExclude, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			h.Join(group(1))
			h.Join(group(2))
			h.run(t, time.Minute)
			for _, q := range c.queries {
				h.ask(q)
			}
			h.ask(specific(group(3), source)) // of no concern
			sent := h.run(t, time.Second)
			if len(sent) != 1 || len(sent[0].Records) != 1 {
				t.Fatalf("sent %+v", sent)
			}
			r := sent[0].Records[0]
			if r.Type != c.want || r.Group != group(1) || !slices.Equal(r.Sources, c.sources) {
				t.Errorf("answered %+v", r)
			}
		})
	}
}

func TestAnImminentGeneralAnswerCoversTheGroup(t *testing.T) {
	h := newMember(t)
	h.ask(general(0))
	q := specific(group(1))
	q.Delay = time.Hour
	h.ask(q)
	if sent := h.run(t, 2*time.Hour); len(sent) != 1 {
		t.Errorf("sent %+v", sent)
	}
}

func TestSourcesOfManyQueriesAreBounded(t *testing.T) {
	h := newHost()
	var sources []netip.Addr
	for a := netip.MustParseAddr("2001:db8::1"); len(sources) < 32; a = a.Next() {
		sources = append(sources, a)
	}
	const n = 1000
	for i := range n {
		h.Join(group(i))
	}
	h.run(t, time.Minute)
	for range 2 { // the second time shows that what was kept is given back
		for i := range n {
			h.ask(specific(group(i), sources...))
		}
		sent := h.run(t, 2*time.Second)
		include, exclude := told(sent, mld.IsInclude), told(sent, mld.IsExclude)
		if len(include) != 128 || len(include)+len(exclude) != n {
			t.Errorf("%d groups answered with sources and %d without", len(include), len(exclude))
		}
		for _, s := range sent {
			if size := len(s.Packet(querier())); size > 1280 {
				t.Errorf("report of %d octets", size)
			}
		}
	}
}

func TestALinkThatComesBackHearsOfAllGroups(t *testing.T) {
	h := newHost()
	h.Join(group(1))
	h.Join(group(2))
	h.run(t, time.Minute)
	h.ask(general(time.Hour))
	h.Leave(group(2))
	h.run(t, 0)
	h.Join(group(3)) // not told yet
	h.Restart()
	h.Restart()
	sent := h.run(t, 2*time.Hour)
	want := map[netip.Addr]int{group(1): 2, group(3): 2}
	if got := told(sent, mld.ToExclude); !maps.Equal(got, want) || records(sent) != 4 {
		t.Errorf("told %v in %+v", got, sent)
	}
}

func TestPendingIsWhatWasNeverTold(t *testing.T) {
	h := newHost()
	if h.Pending() {
		t.Error("nothing to tell")
	}
	h.Join(group(1))
	if !h.Pending() {
		t.Error("a join is to be told")
	}
	h.run(t, 0)
	if h.Pending() {
		t.Error("the join was told")
	}
	if _, ok := h.Deadline(); !ok {
		t.Error("and is to be repeated")
	}
}
