// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

var interrupt = os.Interrupt

// memory is the resident memory of the speaker process.
func (sp *speaker) memory() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", sp.cmd.Process.Pid))
	if err != nil {
		return err.Error()
	}
	for l := range strings.Lines(string(b)) {
		if strings.HasPrefix(l, "VmRSS") {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	return ""
}

// resident is its memory in MiB.
func (sp *speaker) resident() int {
	sp.t.Helper()
	kb := 0
	if _, err := fmt.Sscanf(sp.memory(), "VmRSS: %d kB", &kb); err != nil {
		sp.t.Fatalf("read the memory of the speaker: %v", err)
	}
	return kb >> 10
}

var grConfig = bgpConfig(theirASN, "bgp graceful-restart", "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 timers 1 3", "4 neighbor 192.0.2.1 activate")

func restarting(p *lb.Peer) {
	p.GracefulRestart, p.HoldTime = true, 3*time.Second
}

// watchRoute returns a function that says for how long the router had no route for the prefix.
func (s *segment) watchRoute(prefix string) func() time.Duration {
	var missing time.Duration
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			now := time.Now()
			if out, err := command("ip", "-n", s.ns("r"), "route", "show", prefix); err == nil && out == "" {
				missing += now.Sub(last)
			}
			last = now
		}
	}()
	return func() time.Duration { close(stop); <-done; return missing }
}

func TestGracefulRestart(t *testing.T) {
	for _, how := range []string{"killed", "restart"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, f, sp := pair(t, grConfig)
			sp.route(with(peer(theirs4, restarting), "10.0.0.1/32", "10.0.0.2/32"))
			up(t, sp, 8*time.Second)
			f.has("ipv4", 3*time.Second, "10.0.0.1/32", "10.0.0.2/32")
			time.Sleep(time.Second) // both ends' End-of-RIB
			missing := s.watchRoute("10.0.0.1")
			if how == "restart" {
				sp.ask(request{Stop: "restart"})
			}
			sp.kill()
			time.Sleep(2 * time.Second)
			again := s.startSpeaker("s")
			again.route(with(peer(theirs4, restarting), "10.0.0.1/32", "10.0.0.3/32"))
			t.Logf("re-established after %s", up(t, again, 8*time.Second).Round(time.Millisecond))
			f.has("ipv4", 5*time.Second, "10.0.0.1/32", "10.0.0.3/32")
			time.Sleep(2 * time.Second)
			if gap := missing(); gap != 0 {
				t.Errorf("the route was missing for %s", gap)
			}
		})
	}
}

// A node that is dead, not restarting, loses its routes with the hold time.
func TestDeadNodeLosesItsRoutes(t *testing.T) {
	s, f, sp := pair(t, grConfig)
	sp.route(with(peer(theirs4, restarting), "10.0.0.1/32"))
	up(t, sp, 8*time.Second)
	f.has("ipv4", 3*time.Second, "10.0.0.1/32")
	s.cut("s")
	took := f.has("ipv4", 6*time.Second)
	t.Logf("route gone %s after the cut with a hold time of 3s", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Error("too late")
	}
}

// A planned stop withdraws first and then says goodbye, also to a peer that would keep the routes.
func TestDrain(t *testing.T) {
	for _, gr := range []bool{false, true} {
		t.Run(fmt.Sprint("graceful restart ", gr), func(t *testing.T) {
			t.Parallel()
			s, f, sp := pair(t, grConfig)
			w := with(peer(theirs4, func(p *lb.Peer) { p.GracefulRestart = gr }))
			for i := range 300 {
				w.Routes = append(w.Routes, with(w.Peer, fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)).Routes...)
			}
			sp.route(w)
			up(t, sp, 8*time.Second)
			eventually(t, 3*time.Second, func() string {
				if n := len(f.routes("ipv4")); n != 300 {
					return fmt.Sprint(n, " routes")
				}
				return ""
			})
			capture := s.start("r", nil, "tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-U", "-w", s.dir+"/cap", "tcp port 179")
			time.Sleep(500 * time.Millisecond)
			start := time.Now()
			if rep := sp.ask(request{Stop: "drain"}); rep.Error != "" {
				t.Fatal(rep.Error)
			}
			t.Logf("drained in %s", time.Since(start).Round(time.Millisecond))
			f.has("ipv4", time.Second)
			time.Sleep(200 * time.Millisecond)
			_ = capture.cmd.Process.Signal(interrupt)
			<-capture.done
			out := s.must("tcpdump", "-nn", "-v", "-r", s.dir+"/cap")
			withdraw, cease := strings.Index(out, "Withdrawn routes"), strings.Index(out, "Notification Message")
			if withdraw < 0 || cease < withdraw || !strings.Contains(out, "Administrative Shutdown") {
				t.Errorf("withdraw at %d, Cease at %d:\n%s", withdraw, cease, tail(out, 3000))
			}
			if err := sp.route(w); !strings.Contains(err, "stopped") {
				t.Errorf("Set after Stop: %q", err)
			}
		})
	}
}

// Without graceful restart a restart is a drain.
func TestRestartWithoutHelper(t *testing.T) {
	_, f, sp := pair(t, grConfig)
	sp.route(with(peer(theirs4, nil), "10.0.0.1/32"))
	up(t, sp, 8*time.Second)
	f.has("ipv4", 3*time.Second, "10.0.0.1/32")
	sp.ask(request{Stop: "restart"})
	f.has("ipv4", time.Second)
}

// BFD takes the session down within its detection time, and brings it back when the peer returns.
func TestBFDDropsTheSession(t *testing.T) {
	profile := lb.DefaultBFDProfile("fast")
	profile.TransmitInterval, profile.ReceiveInterval = 50*time.Millisecond, 50*time.Millisecond
	config := "bfd\n profile fast\n  receive-interval 50\n  transmit-interval 50\n exit\nexit\n" +
		bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 bfd profile fast", "4 neighbor 192.0.2.1 activate")
	s, f, sp := pair(t, config)
	p := peer(theirs4, func(p *lb.Peer) { p.BFD = &profile })
	sp.route(with(p, "10.0.0.1/32"))
	up(t, sp, 8*time.Second)
	f.has("ipv4", 3*time.Second, "10.0.0.1/32")
	bfdUp(t, f, sp)
	// FRR sets up its BFD session anew when BGP comes up; that must not bounce BGP.
	always(t, 2*time.Second, func() string {
		if _, n := f.updates(ours4); n != 1 || sp.state("router").Phase != bgp.Established {
			return fmt.Sprintf("%d sessions, ours is %s", n, sp.state("router").Phase)
		}
		return ""
	})

	eventually(t, 3*time.Second, func() string {
		if d := session(sp).Session.Detect; d != 150*time.Millisecond {
			return fmt.Sprintf("detection time is %s\n%s", d, f.vtysh("show bfd peers", "show running-config"))
		}
		return ""
	})
	s.cut("r")
	start := time.Now()
	eventually(t, 2*time.Second, func() string { return differs(string(sp.state("router").Phase), string(bgp.Held)) })
	ours := time.Since(start)
	f.has("ipv4", 2*time.Second)
	t.Logf("cut: session held here after %s, routes gone at the router after %s", ours.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if ours > 250*time.Millisecond {
		t.Errorf("session held after %s", ours)
	}
	s.heal("r")
	took := up(t, sp, 10*time.Second)
	t.Logf("healed: established after %s", took.Round(time.Millisecond))
	f.has("ipv4", 3*time.Second, "10.0.0.1/32")
	if took > 5*time.Second {
		t.Errorf("established after %s", took)
	}

	// The peer switches BFD off on purpose: that is no failure (RFC 5882 3.2).
	f.configure("bfd", "profile fast", "shutdown")
	always(t, 3*time.Second, func() string {
		if st := sp.state("router"); st.Phase != bgp.Established {
			return fmt.Sprintf("BFD shut down by the peer: %s %s", st.Phase, st.Reason)
		}
		return ""
	})
}

// Graceful restart of a speaker that is also watched by BFD: neither a crash nor a planned restart
// may look like a failed path.
func TestGracefulRestartWithBFD(t *testing.T) {
	profile := lb.DefaultBFDProfile("fast")
	profile.TransmitInterval, profile.ReceiveInterval = 50*time.Millisecond, 50*time.Millisecond
	p := peer(theirs4, func(p *lb.Peer) { p.BFD, p.GracefulRestart = &profile, true })
	config := "bfd\n profile fast\n  receive-interval 50\n  transmit-interval 50\n exit\nexit\n" +
		bgpConfig(theirASN, "bgp graceful-restart", "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 bfd profile fast", "4 neighbor 192.0.2.1 activate")
	for _, planned := range []bool{false, true} {
		t.Run(fmt.Sprint("planned ", planned), func(t *testing.T) {
			s, f, sp := pair(t, config)
			sp.route(with(p, "10.0.0.1/32"))
			up(t, sp, 8*time.Second)
			bfdUp(t, f, sp)
			time.Sleep(time.Second) // End-of-RIB, and FRR's new BFD session
			missing := s.watchRoute("10.0.0.1")
			if planned {
				sp.ask(request{Stop: "restart"})
				sp.quit()
			} else {
				sp.kill()
			}
			again := s.startSpeaker("s")
			again.route(with(p, "10.0.0.1/32"))
			up(t, again, 8*time.Second)
			bfdUp(t, f, again)
			time.Sleep(2 * time.Second)
			if gap := missing(); gap != 0 {
				t.Errorf("the route was missing for %s", gap)
			}
			if st := again.state("router"); st.Phase != bgp.Established {
				t.Errorf("session is %s", st.Phase)
			}
		})
	}
}

func differs(got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("is %q, want %q", got, want)
}

// bfdUp waits until FRR's BFD session with us is up.
func bfdUp(t *testing.T, f *router, sp *speaker) {
	t.Helper()
	eventually(t, 5*time.Second, func() string {
		if st := f.bfdStatus(ours4); st != "up" {
			return fmt.Sprintf("FRR's BFD is %s, ours %+v\n%s", st, session(sp), f.vtysh("show bfd peers", "show bfd peers counters"))
		}
		return ""
	})
}
