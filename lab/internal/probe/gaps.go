// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package probe measures what a client sees: it asks an address over and over
// and reports when no answers came, and it records who claims an address on
// the LAN. It measures; it does not judge.
package probe

import (
	"sort"
	"time"
)

// Sample is one question and, unless Answered is zero, its answer.
type Sample struct {
	Sent, Answered time.Time
	Pod, Node      string // who answered, if the answer says so
}

// Report is the outcome of a measurement. A gap is a time in which no answer
// arrived; it is measured from arrival to arrival, so that answers held back
// somewhere do not hide it. Times in ms.
type Report struct {
	Target     string    `json:"target"`
	Proto      string    `json:"proto"`
	IntervalMS float64   `json:"interval_ms"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	Sent       int       `json:"sent"`
	Answered   int       `json:"answered"`
	Lost       int       `json:"lost"` // never answered, or later than the timeout
	// LongestGapMS is the longest time between two arrivals; about the
	// interval if nothing was lost.
	LongestGapMS float64 `json:"longest_gap_ms"`
	// LossMS is the time from the first lost question to the last, one interval
	// more than between them: how long some questions were lost, although others
	// were answered by another way. 0 if nothing was lost.
	LossMS float64 `json:"loss_ms"`
	Gaps   []Gap   `json:"gaps"` // those of at least the threshold, in order
	// MaxSendDelayMS is how late the worst question left this machine: a gap
	// of that size may be the prober's own.
	MaxSendDelayMS float64    `json:"max_send_delay_ms"`
	MaxRTTMS       float64    `json:"max_rtt_ms"`
	Answers        []Answerer `json:"answers"`
}

// Gap is one outage as the client saw it.
type Gap struct {
	Start time.Time `json:"start"` // the last answer before
	End   time.Time `json:"end"`   // the first answer after
	MS    float64   `json:"ms"`
	Lost  int       `json:"lost"`           // questions sent in the gap that were never answered
	Open  bool      `json:"open,omitempty"` // there was no answer before, or none after
}

// Answerer is one pod that answered.
type Answerer struct {
	Pod   string    `json:"pod"`
	Node  string    `json:"node"`
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Analyse fills in everything that follows from the samples, which are in the
// order of their sending. Gaps shorter than the threshold are not listed.
func (r *Report) Analyse(samples []Sample, threshold time.Duration) {
	r.Sent, r.Gaps, r.Answers = len(samples), []Gap{}, []Answerer{}
	if len(samples) == 0 {
		return
	}
	var arrived []Sample
	var firstLost time.Time
	for _, s := range samples {
		if s.Answered.IsZero() {
			if r.Lost++; r.Lost == 1 {
				firstLost = s.Sent
			}
			r.LossMS = ms(s.Sent.Sub(firstLost)) + r.IntervalMS
			continue
		}
		arrived = append(arrived, s)
		r.MaxRTTMS = max(r.MaxRTTMS, ms(s.Answered.Sub(s.Sent)))
	}
	r.Answered = len(arrived)
	sort.SliceStable(arrived, func(i, j int) bool { return arrived[i].Answered.Before(arrived[j].Answered) })
	last := samples[0].Sent
	for i, s := range arrived {
		r.space(samples, last, s.Answered, threshold, i == 0)
		last = s.Answered
	}
	if end := samples[len(samples)-1].Sent; end.After(last) {
		r.space(samples, last, end, threshold, true)
	}
	r.Answers = answerers(arrived)
}

// space accounts for the time between two neighbouring arrivals, or between an
// arrival and the first or last question.
func (r *Report) space(samples []Sample, from, to time.Time, threshold time.Duration, open bool) {
	lost := 0
	for _, s := range samples {
		if s.Answered.IsZero() && !s.Sent.Before(from) && !s.Sent.After(to) {
			lost++
		}
	}
	length := ms(to.Sub(from))
	r.LongestGapMS = max(r.LongestGapMS, length)
	if to.Sub(from) >= threshold {
		r.Gaps = append(r.Gaps, Gap{Start: from, End: to, MS: length, Lost: lost, Open: open})
	}
}

func answerers(arrived []Sample) []Answerer {
	index := map[[2]string]int{}
	out := []Answerer{}
	for _, s := range arrived {
		key := [2]string{s.Pod, s.Node}
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, Answerer{Pod: s.Pod, Node: s.Node, First: s.Answered})
		}
		out[i].Count++
		out[i].Last = s.Answered
	}
	return out
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
