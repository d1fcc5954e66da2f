// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// deed does something to a node.
type deed func(ctx context.Context, l labctl.Lab, node string) error

// l2Fault is one way in which the owner of an address stops, and how it is repaired.
type l2Fault struct {
	name    string
	prepare deed // before anything is watched; nil: nothing
	strike  deed
	repair  deed
	planned bool // an orderly end, in which nothing may be lost
	targets l2Targets
}

// l2Targets are in milliseconds; 0 is none.
type l2Targets struct{ p50, worst, two float64 }

func l2Faults() []l2Fault {
	death := l2Targets{p50: 400, worst: 700}
	return []l2Fault{
		{name: "speaker killed", strike: verb("kill", "speaker"), repair: replaceSpeaker, targets: death},
		{name: "speaker stopped", strike: verb("stop", "speaker"), repair: verb("cont", "speaker"), targets: death},
		{name: "link cut", strike: verb("link-down"), repair: verb("link-up"), targets: death},
		{name: "power off", strike: verb("power-off"), repair: verb("power-on"), targets: death},
		{name: "speaker terminated", strike: verb("term", "speaker"), repair: replaceSpeaker, planned: true},
		{name: "rolling update", strike: rollingUpdate, repair: nothing, planned: true},
		{name: "link restored", prepare: cutAndWait, strike: verb("link-up"), repair: nothing, targets: l2Targets{two: 250}},
	}
}

// rollingManyFault replaces every speaker while one node has many addresses. The client asks the first.
func rollingManyFault() l2Fault {
	return l2Fault{name: fmt.Sprintf("rolling update with %d addresses", manyServices), strike: rollingUpdate, repair: nothing, planned: true}
}

// verb is a fault of the lab: its name, the node, and the rest.
func verb(args ...string) deed {
	return func(ctx context.Context, l labctl.Lab, node string) error {
		return l.Fault(ctx, append([]string{args[0], node}, args[1:]...)...)
	}
}

func nothing(context.Context, labctl.Lab, string) error { return nil }

// replaceSpeaker makes a new Pod, because the kubelet restarts the containers of the old one
// ever more slowly.
func replaceSpeaker(ctx context.Context, l labctl.Lab, node string) error {
	_, err := l.Kubectl(ctx, "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
		"--field-selector", "spec.nodeName="+node, "--wait=true")
	return err
}

// rollingUpdate replaces every speaker, one after the other.
func rollingUpdate(ctx context.Context, l labctl.Lab, _ string) error {
	if _, err := l.Kubectl(ctx, "-n", labctl.Namespace, "rollout", "restart", "daemonset/speaker"); err != nil {
		return err
	}
	return l.Ready(ctx)
}

// cutLasts is how long a link is cut before it is restored: both sides have long declared the
// other dead, with any implementation's usual settings.
const cutLasts = 3 * time.Second

func cutAndWait(ctx context.Context, l labctl.Lab, node string) error {
	if err := l.Fault(ctx, "link-down", node); err != nil {
		return err
	}
	time.Sleep(cutLasts)
	return nil
}

// lead is how long the wire is watched before a fault.
const lead = 300 * time.Millisecond

// l2Run is what one run gave, times in milliseconds.
type l2Run struct {
	outage, silence, two, moves float64
	answered                    float64 // per cent of the client's questions
	late                        float64 // the most that one of them was sent late: the machine's part
}

// errNoFigures says that no run of a fault is valid. The next fault may have some.
var errNoFigures = errors.New("no run gave figures")

// measureFault strikes the owner again and again. A run that gives no figures is counted and does not
// discard the others; when the cluster cannot be repaired, the figures so far are returned.
func (e *env) measureFault(ctx context.Context, f l2Fault, addr string, runs int) ([]Result, error) {
	var valid []l2Run
	invalid := 0
	results := func() []Result { return f.results(e.family.prefix, valid, invalid) }
	for i := range runs {
		before, err := e.lab.Owner(ctx, addr, time.Minute)
		if err != nil {
			return results(), err
		}
		r, err := e.strikeOnce(ctx, f, addr, before)
		if err != nil && ctx.Err() != nil {
			return results(), err
		}
		if err != nil {
			invalid++
			fmt.Printf("%s, run %d of %d: owner %s, INVALID: %v\n", f.name, i+1, runs, before, err)
		} else {
			valid = append(valid, r)
			fmt.Printf("%s, run %d of %d: owner %s, client without answers %.0f ms, wire silent %.0f ms, two owners %.0f ms, %.0f moves, %.2f %% answered (machine late by %.0f ms)\n",
				f.name, i+1, runs, before, r.outage, r.silence, r.two, r.moves, r.answered, r.late)
		}
		if err := f.repair(ctx, e.lab, before); err != nil {
			return results(), err
		}
		if err := e.settled(ctx, addr, before); err != nil {
			return results(), err
		}
	}
	if len(valid) == 0 {
		return results(), fmt.Errorf("%s: %w", f.name, errNoFigures)
	}
	return results(), nil
}

func (e *env) strikeOnce(ctx context.Context, f l2Fault, addr, owner string) (l2Run, error) {
	if f.prepare != nil {
		if err := f.prepare(ctx, e.lab, owner); err != nil {
			return l2Run{}, err
		}
	}
	stop, err := e.startAsking(ctx, addr)
	if err != nil {
		return l2Run{}, err
	}
	defer stop()
	var struck time.Time
	o, err := e.lab.Watch(ctx, net.JoinHostPort(addr, "8090"), e.settle, func() error {
		time.Sleep(lead)
		struck = time.Now()
		return f.strike(ctx, e.lab, owner)
	})
	if err != nil {
		return l2Run{}, err
	}
	w := o.Wire(addr, struck)
	switch {
	case w.Before == "":
		return l2Run{}, errors.New("nobody answered on the wire before the fault")
	case !f.planned && w.Owner == w.Before:
		return l2Run{}, fmt.Errorf("%s owns the address as before, %d moves: nothing was measured", w.Owner, w.Moves)
	}
	return l2Run{
		outage: o.LostMS(), silence: milliseconds(w.Silence), two: milliseconds(w.Two), moves: float64(w.Moves),
		answered: 100 * float64(o.Sent-o.Lost) / float64(o.Sent), late: o.MaxSendDelayMS,
	}, nil
}

// results are the p50 and worst of each figure, and how many runs gave none.
func (f l2Fault) results(prefix string, runs []l2Run, invalid int) []Result {
	out := []Result{{prefix + f.name + "/invalid runs", float64(invalid), "runs", 0, Lower}}
	if len(runs) == 0 {
		return out
	}
	add := func(what, unit string, of func(l2Run) float64, p50, worst float64) {
		var values []float64
		for _, r := range runs {
			values = append(values, of(r))
		}
		slices.Sort(values)
		name := prefix + f.name + "/" + what
		out = append(out, Result{name + " p50", values[len(values)/2], unit, p50, Lower},
			Result{name + " worst", values[len(values)-1], unit, worst, Lower})
	}
	t := f.targets
	add("outage", "ms", func(r l2Run) float64 { return r.outage }, t.p50, t.worst)
	add("silence", "ms", func(r l2Run) float64 { return r.silence }, t.p50, t.worst)
	add("two owners", "ms", func(r l2Run) float64 { return r.two }, 0, t.two)
	add("moves", "moves", func(r l2Run) float64 { return r.moves }, 0, 0)
	add("machine late", "ms", func(r l2Run) float64 { return r.late }, 0, 0)
	if f.planned {
		least := slices.MinFunc(runs, func(a, b l2Run) int { return int(1000 * (a.answered - b.answered)) })
		out = append(out, Result{prefix + f.name + "/answered worst", least.answered, "%", 100, Higher})
	}
	return out
}
