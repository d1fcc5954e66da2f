// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// at returns a time in ms after an arbitrary zero.
func at(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }

// series makes one sample every 10 ms; '.' is answered after 1 ms, 'x' is
// lost, 'L' is answered late, 100 ms after the start of the series.
func series(pattern string) []Sample {
	var out []Sample
	for i, c := range pattern {
		s := Sample{Sent: at(10 * i), Pod: "p", Node: "n"}
		switch c {
		case '.':
			s.Answered = at(10*i + 1)
		case 'L':
			s.Answered = at(100)
		}
		out = append(out, s)
	}
	return out
}

func TestAnalyseFindsGaps(t *testing.T) {
	for _, tc := range []struct {
		name, pattern string
		lost          int
		longest, loss float64
		gaps          string
	}{
		{"nothing lost", "..........", 0, 10, 0, ""},
		{"one lost is below the threshold", "...x......", 1, 20, 10, ""},
		{"a hole", "...xxxxx..", 5, 60, 50, "21-81 lost 5"},
		{"two holes", ".xxx.xxxx.", 7, 50, 80, "1-41 lost 3, 41-91 lost 4"},
		{"nothing at first", "xxxx......", 4, 41, 40, "0-41 lost 4 open"},
		{"nothing at last", "......xxxx", 4, 39, 40, "51-90 lost 4 open"},
		{"nothing at all", "xxxxxxxxxx", 10, 90, 100, "0-90 lost 10 open"},
		{"answers held back do not hide the gap", "...LLLLLL.", 0, 70, 0, "21-91 lost 0"},
	} {
		r := Report{IntervalMS: 10}
		r.Analyse(series(tc.pattern), 30*time.Millisecond)
		var gaps []string
		for _, g := range r.Gaps {
			s := fmt.Sprintf("%d-%d lost %d", g.Start.Sub(at(0)).Milliseconds(), g.End.Sub(at(0)).Milliseconds(), g.Lost)
			if g.Open {
				s += " open"
			}
			gaps = append(gaps, s)
		}
		if got := strings.Join(gaps, ", "); got != tc.gaps || r.Lost != tc.lost || r.LongestGapMS != tc.longest || r.LossMS != tc.loss {
			t.Errorf("%s: lost %d within %v, longest %v, gaps %q; want %d, %v, %v, %q",
				tc.name, r.Lost, r.LossMS, r.LongestGapMS, got, tc.lost, tc.loss, tc.longest, tc.gaps)
		}
		if r.Sent != len(tc.pattern) || r.Answered != r.Sent-r.Lost {
			t.Errorf("%s: sent %d, answered %d, lost %d", tc.name, r.Sent, r.Answered, r.Lost)
		}
	}
}

func TestAnalyseOfNothing(t *testing.T) {
	var r Report
	r.Analyse(nil, time.Second)
	if r.Sent != 0 || r.Gaps == nil || len(r.Gaps) != 0 {
		t.Errorf("report of no samples: %+v", r)
	}
}

func TestAnalyseNamesWhoAnswered(t *testing.T) {
	samples := series("....")
	samples[1].Pod, samples[1].Node = "q", "m"
	samples[2].Pod, samples[2].Node = "q", "m"
	var r Report
	r.Analyse(samples, time.Second)
	got := ""
	for _, a := range r.Answers {
		got += fmt.Sprintf("%s/%s %d %d-%d;", a.Pod, a.Node, a.Count, a.First.Sub(at(0)).Milliseconds(), a.Last.Sub(at(0)).Milliseconds())
	}
	if want := "p/n 2 1-31;q/m 2 11-21;"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
	if r.MaxRTTMS != 1 {
		t.Errorf("longest round trip %v ms, want 1", r.MaxRTTMS)
	}
}
