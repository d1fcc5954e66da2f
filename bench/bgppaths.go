// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// measureBGPPaths measures a few routes over three nodes.
func measureBGPPaths(ctx context.Context, e *env, f *bgpFabric) (out []Result, err error) {
	if err := f.peer(ctx); err != nil {
		return nil, err
	}
	for _, m := range []func(context.Context, *env, *bgpFabric) ([]Result, error){measureStart, measureCreation, measureEnds} {
		got, err := m(ctx, e, f)
		out = append(out, got...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// measureStart restarts one speaker again and again: from the start of its process until its session
// is up at the router.
func measureStart(ctx context.Context, e *env, f *bgpFabric) ([]Result, error) {
	var samples []time.Duration
	for range e.runs {
		p, err := f.restartSpeaker(ctx, "n1")
		if err != nil {
			return nil, err
		}
		up, err := f.cameUp(ctx, 1, p.started)
		if err != nil {
			return nil, err
		}
		samples = append(samples, up.Sub(p.started))
		if err := f.lab.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return medians("bgp/start to session", samples, 0, 0), nil
}

// bgpEnd is one way in which a path by a node ends.
type bgpEnd struct {
	name   string
	peer   []string // lines of the BGPPeer's spec
	strike func(context.Context, *bgpFabric) error
	repair func(context.Context, *bgpFabric) error
	gone   float64 // target for the route, in milliseconds; 0 for none
}

func bgpEnds() []bgpEnd {
	// By `ip` itself, because the lab's own command takes tens of milliseconds to start.
	cable := func(state string) func(context.Context, *bgpFabric) error {
		return func(ctx context.Context, f *bgpFabric) error {
			out, err := exec.CommandContext(ctx, "ip", "-n", f.lab.Netns("lan"), "link", "set", "n2", state).CombinedOutput() //nolint:gosec // names of the lab
			if err != nil {
				return fmt.Errorf("set cable of n2 %s: %w: %s", state, err, out)
			}
			return nil
		}
	}
	return []bgpEnd{
		{"link cut, BFD 3 x 50 ms", []string{"bfdProfile: fast"}, cable("down"), cable("up"), 250},
		{"link cut, hold time 3 s", []string{"holdTime: 3s"}, cable("down"), cable("up"), 0},
		{"speaker terminated", nil, func(ctx context.Context, f *bgpFabric) error {
			_, err := f.restartSpeaker(ctx, "n2")
			return err
		}, nil, 0},
	}
}

// measureEnds ends the path by one of three nodes, while a client asks a Service that every node
// answers itself.
func measureEnds(ctx context.Context, e *env, f *bgpFabric) (out []Result, err error) {
	s := service("ends", corev1.ServiceTypeLoadBalancer)
	s.Spec.Selector = map[string]string{"app": "echo"}
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	s.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	if _, err := f.client.CoreV1().Services(benchNamespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create service: %w", err)
	}
	addr, err := f.waitAddress(ctx, "ends")
	if err != nil {
		return nil, err
	}
	for _, end := range bgpEnds() {
		if err := f.unpeer(ctx); err != nil {
			return out, err
		}
		if err := f.peer(ctx, end.peer...); err != nil {
			return out, err
		}
		got, err := f.measureEnd(ctx, e.runs, end, addr.addr)
		out = append(out, got...)
		if err != nil {
			return out, fmt.Errorf("%s: %w", end.name, err)
		}
	}
	return out, nil
}

func (f *bgpFabric) measureEnd(ctx context.Context, runs int, end bgpEnd, addr netip.Addr) ([]Result, error) {
	var gone []time.Duration
	var lost, sent int
	var span float64
	for i := range runs {
		m, err := f.router.Monitor()
		if err != nil {
			return nil, err
		}
		if err := f.pathsBack(ctx, addr); err != nil {
			return nil, errors.Join(err, stopped(m))
		}
		var struck time.Time
		o, err := f.lab.Watch(ctx, net.JoinHostPort(addr.String(), "80"), 4*time.Second, func() error {
			struck = time.Now()
			return end.strike(ctx, f)
		})
		if err != nil {
			return nil, errors.Join(err, stopped(m))
		}
		c, err := m.Wait(ctx, 10*time.Second, func(r frr.RouteChange) bool {
			return r.Prefix.Addr() == addr && r.Time.After(struck) && len(r.Hops) < f.nodes
		})
		if err := errors.Join(err, stopped(m)); err != nil {
			return nil, err
		}
		took := c.Time.Sub(struck)
		fmt.Printf("%s, run %d of %d: path gone after %.0f ms, %d of %d questions lost within %.0f ms\n",
			end.name, i+1, runs, milliseconds(took), o.Lost, o.Sent, o.LossMS)
		gone = append(gone, took)
		lost, sent, span = lost+o.Lost, sent+o.Sent, max(span, o.LossMS)
		if end.repair != nil {
			if err := end.repair(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	name := "bgp/" + end.name
	if end.repair == nil { // planned
		return []Result{{name + "/answered", 100 * float64(sent-lost) / float64(sent), "%", 100, Higher},
			{name + "/lost", float64(lost), "questions", 0, Lower}}, nil
	}
	return append(medians(name+"/path gone", gone, end.gone, end.gone),
		Result{name + "/questions lost, mean", float64(lost) / float64(runs), "questions", 0, Lower},
		Result{name + "/losing, worst", span, "ms", 0, Lower}), nil
}

func stopped(m *frr.Monitor) error { m.Stop(); return nil }

// pathsBack waits until all speakers run and every node has a path and, where it is configured, BFD.
func (f *bgpFabric) pathsBack(ctx context.Context, addr netip.Addr) error {
	if err := errors.Join(f.lab.Ready(ctx), f.established(ctx)); err != nil {
		return err
	}
	err := labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		paths, err := f.router.Paths(ctx, "ipv4")
		if err != nil {
			return err
		}
		if got := len(frr.NextHops(paths[addr.String()+"/32"])); got != f.nodes {
			return fmt.Errorf("%s has paths by %d nodes, want %d", addr, got, f.nodes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// BFD starts anew when BGP comes up, and counts from its second second.
	const settle = 3 * time.Second
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
		return nil
	}
}
