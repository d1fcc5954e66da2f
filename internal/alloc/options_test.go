// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

func quota(n int, namespaces ...string) func(*lb.Pool) {
	return func(p *lb.Pool) {
		p.Quotas = append(p.Quotas, lb.Quota{Max: n, AnyNamespace: namespaces == nil, Namespaces: namespaces})
	}
}

func reserves(d time.Duration) func(*lb.Pool) { return func(p *lb.Pool) { p.ReservationTime = d } }
func cools(d time.Duration) func(*lb.Pool)    { return func(p *lb.Pool) { p.CooldownTime = d } }
func colocates(p *lb.Pool)                    { p.PreferColocate = true }

func TestQuotas(t *testing.T) {
	p := aPool("p", "10.0.0.1-10.0.0.9 fd00::1-fd00::9", quota(2, "ns"))
	require := stack(dual4, lb.RequireDualStack)
	check(t, []rule{
		{"a namespace gets no more than its quota, another is not limited", []lb.Pool{p},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2), aSvc("o", 3, inNS("other"))}, []string{"10.0.0.1", "10.0.0.2", "-", "10.0.0.3"}},
		{"each namespace has the whole quota for itself", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", quota(1))},
			[]lb.Service{aSvc("x", 0), aSvc("o", 1, inNS("other"))}, []string{"10.0.0.1", "10.0.0.2"}},
		{"the smallest quota counts", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", quota(3), quota(0, "ns"))},
			[]lb.Service{aSvc("x", 0), aSvc("o", 1, inNS("other"))}, []string{"-", "10.0.0.1"}},
		{"the next pool serves who is over the quota of the first", []lb.Pool{p, aPool("q", "10.0.1.1")},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2)}, []string{"10.0.0.1", "10.0.0.2", "10.0.1.1"}},
		{"nobody loses an address to a quota", []lb.Pool{p},
			[]lb.Service{aSvc("x", 0, has("10.0.0.7", "p")), aSvc("y", 1, has("10.0.0.8", "p")), aSvc("z", 2, has("10.0.0.9", "p"))},
			[]string{"10.0.0.7", "10.0.0.8", "10.0.0.9"}},
		{"both families count", []lb.Pool{p}, []lb.Service{aSvc("x", 0, require), aSvc("y", 1, asksPool("p"))}, []string{"10.0.0.1 fd00::1", "-"}},
		{"one place left is not enough for two families", []lb.Pool{p}, []lb.Service{aSvc("x", 0), aSvc("y", 1, require), aSvc("z", 2, stack(dual4, lb.PreferDualStack))},
			[]string{"10.0.0.1", "-", "10.0.0.2"}},
		{"an address shared within the namespace counts once", []lb.Pool{p},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1, shares("k", 80)), aSvc("z", 2, shares("k", 81))}, []string{"10.0.0.1", "10.0.0.2", "10.0.0.2"}},
		{"one shared with another namespace counts for both", []lb.Pool{p},
			[]lb.Service{aSvc("o", 0, shares("k", 82), inNS("other")), aSvc("x", 1), aSvc("y", 2), aSvc("z", 3, shares("k", 81))},
			[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "-"}},
		{"asking for the address does not help", []lb.Pool{p}, []lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2, asks("10.0.0.9"))},
			[]string{"10.0.0.1", "10.0.0.2", "-"}},
	})
	res := Plan(Input{Pools: []lb.Pool{p}, Services: []lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2), aSvc("zz", 3, asks("10.0.0.9"))}})
	if got := res.Outcomes[2].Message; got != `no available IPs: namespace "ns" has used up its quota of 2 addresses in pool p`+cure {
		t.Errorf("auto: %s", got)
	}
	if got := res.Outcomes[3].Message; got != `no available IPs in pool p: namespace "ns" has used up its quota of 2 addresses in pool p` {
		t.Errorf("asked: %s", got)
	}
}

func TestPreferColocate(t *testing.T) {
	check(t, []rule{
		{"an address of the same key comes before a lower free one", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", colocates)},
			[]lb.Service{aSvc("x", 0, shares("k", 80), has("10.0.0.5", "p")), aSvc("y", 1, shares("k", 81)), aSvc("z", 2, shares("k", 81)), aSvc("n", 3, shares("l", 80))},
			[]string{"10.0.0.5", "10.0.0.5", "10.0.0.1", "10.0.0.2"}},
		{"also in a later pool", []lb.Pool{aPool("a", "10.0.1.1"), aPool("p", "10.0.0.1-10.0.0.9", colocates)},
			[]lb.Service{aSvc("x", 0, shares("k", 80), has("10.0.0.5", "p")), aSvc("y", 1, shares("k", 81))}, []string{"10.0.0.5", "10.0.0.5"}},
		{"not when the Service asks for something else", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", colocates)},
			[]lb.Service{aSvc("x", 0, shares("k", 80), has("10.0.0.5", "p")), aSvc("y", 1, shares("k", 81), asks("10.0.0.2"))}, []string{"10.0.0.5", "10.0.0.2"}},
	})
}

// history plays Plans one after the other.
type history struct {
	t    *testing.T
	in   Input
	last Result
}

func newHistory(t *testing.T, pools ...lb.Pool) *history {
	return &history{t: t, in: Input{Pools: pools, Now: epoch}}
}

// at plans with exactly these Services, of which those that were there before have what they
// got, and says who has what.
func (h *history) at(after time.Duration, services ...lb.Service) string {
	h.in.Now = epoch.Add(after)
	var before []lb.Service
	for _, s := range services {
		if o, found := h.last.Outcome(s.Key); found && len(s.Assigned) == 0 {
			s.Assigned, s.AssignedPool = o.Addrs, o.Pool
		}
		before = append(before, s)
	}
	h.in.Services = before
	h.last = Plan(h.in)
	h.in.Reserved, h.in.Last = h.last.Reserved, h.last.Outcomes
	var out []string
	for _, o := range h.last.Outcomes {
		text := o.Service.Name
		for _, a := range o.Addrs {
			text += " " + a.String()
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (h *history) expect(got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Fatalf("got %q, want %q; held back %v", got, want, h.last.Reserved)
	}
}

func TestReservation(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1-10.0.0.2", reserves(time.Hour)))
	h.expect(h.at(0, aSvc("a", 0), aSvc("b", 1)), "a 10.0.0.1, b 10.0.0.2")
	h.expect(h.at(time.Minute, aSvc("b", 1), aSvc("c", 2)), "b 10.0.0.2, c")
	if want := epoch.Add(time.Hour + time.Minute); !h.last.Next.Equal(want) {
		t.Errorf("the reservation ends %v, want %v", h.last.Next, want)
	}
	if u := h.last.Usage[0]; u != (Usage{Pool: "p", AssignedIPv4: 1, Reserved: 1, Services: 1}) {
		t.Errorf("usage %+v", u)
	}
	if m := h.last.Outcomes[1].Message; !strings.Contains(m, "(1 in use: ns/b 10.0.0.2), 1 held back: 10.0.0.1 for ns/a until 2026-07-01T13:01:00Z") {
		t.Errorf("message %s", m)
	}
	h.expect(h.at(2*time.Minute, aSvc("b", 1), aSvc("c", 2, asks("10.0.0.1"))), "b 10.0.0.2, c")
	if m := h.last.Outcomes[1].Message; m != `"10.0.0.1" is held back for ns/a until 2026-07-01T13:01:00Z` {
		t.Errorf("message %s", m)
	}
	t.Run("given back", func(t *testing.T) {
		g := *h
		g.t = t
		g.expect(g.at(30*time.Minute, aSvc("a", 9), aSvc("b", 1), aSvc("c", 2)), "a 10.0.0.1, b 10.0.0.2, c")
		if len(g.last.Reserved) > 0 || !g.last.Next.IsZero() {
			t.Errorf("still held back: %v", g.last.Reserved)
		}
	})
	t.Run("runs out", func(t *testing.T) {
		g := *h
		g.t = t
		g.expect(g.at(61*time.Minute, aSvc("a", 9), aSvc("b", 1), aSvc("c", 2)), "a, b 10.0.0.2, c 10.0.0.1")
	})
	t.Run("survives a restart", func(t *testing.T) {
		g := *h
		g.t = t
		g.in.Last = nil // all that a new process knows is what was stored
		g.expect(g.at(30*time.Minute, aSvc("a", 9), aSvc("b", 1, has("10.0.0.2", "p")), aSvc("c", 2)), "a 10.0.0.1, b 10.0.0.2, c")
	})
	t.Run("ends with the option", func(t *testing.T) {
		g := *h
		g.t = t
		g.in.Pools = []lb.Pool{aPool("p", "10.0.0.1-10.0.0.2")}
		g.expect(g.at(30*time.Minute, aSvc("b", 1), aSvc("c", 2)), "b 10.0.0.2, c 10.0.0.1")
	})
}

func TestReservationOfAServiceThatIsCreatedAgainBetweenTwoPlans(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1-10.0.0.9", reserves(time.Hour)))
	h.expect(h.at(0, aSvc("a", 0), aSvc("b", 1)), "a 10.0.0.1, b 10.0.0.2")
	h.last.Outcomes[1].Addrs, h.last.Outcomes[1].Pool = nil, "" // its status is new and empty
	h.in.Last = []Outcome{{Service: lb.Key{Namespace: "ns", Name: "b"}, Addrs: addrs("10.0.0.2")}}
	h.expect(h.at(time.Second, aSvc("b", 5)), "b 10.0.0.2")
}

func TestReservationOfBothFamilies(t *testing.T) {
	h := newHistory(t, aPool("a", "10.0.0.1-10.0.0.9 fd00::1-fd00::9"), aPool("p", "10.0.1.1-10.0.1.9 fd00:1::1-fd00:1::9", reserves(time.Hour)))
	prefer := stack(dual4, lb.PreferDualStack)
	h.expect(h.at(0, aSvc("x", 0, prefer, asksPool("p"))), "x 10.0.1.1 fd00:1::1")
	h.expect(h.at(1), "")
	// It no longer asks for the pool, which would serve it all the same.
	h.expect(h.at(2, aSvc("w", 0, prefer, asksPool("p")), aSvc("x", 1, prefer)), "w 10.0.1.2 fd00:1::2, x 10.0.1.1 fd00:1::1")
}

func TestAReservationDoesNotForbidSharingAnAddressInUse(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1", reserves(time.Hour)))
	h.expect(h.at(0, aSvc("a", 0, shares("k", 80)), aSvc("b", 1, shares("k", 81))), "a 10.0.0.1, b 10.0.0.1")
	h.expect(h.at(1, aSvc("b", 1, shares("k", 81)), aSvc("c", 2, shares("k", 82))), "b 10.0.0.1, c 10.0.0.1")
	h.expect(h.at(2, aSvc("a", 3, shares("k", 80))), "a 10.0.0.1")
	h.expect(h.at(3, aSvc("d", 3, shares("k", 83))), "d")
}

func TestCooldown(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1-10.0.0.2", cools(time.Minute)))
	h.expect(h.at(0, aSvc("a", 0), aSvc("b", 1)), "a 10.0.0.1, b 10.0.0.2")
	h.expect(h.at(time.Second, aSvc("b", 1), aSvc("c", 2), aSvc("d", 3, asks("10.0.0.1"))), "b 10.0.0.2, c, d")
	if want := epoch.Add(61 * time.Second); !h.last.Next.Equal(want) {
		t.Errorf("ends %v, want %v", h.last.Next, want)
	}
	h.expect(h.at(60*time.Second, aSvc("b", 1), aSvc("c", 2)), "b 10.0.0.2, c")
	h.expect(h.at(61*time.Second, aSvc("b", 1), aSvc("c", 2)), "b 10.0.0.2, c 10.0.0.1")
}

func TestCooldownFollowsAReservation(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1", cools(time.Minute), reserves(time.Hour)))
	h.expect(h.at(0, aSvc("a", 0)), "a 10.0.0.1")
	h.expect(h.at(0, aSvc("b", 0)), "b")
	h.expect(h.at(time.Hour, aSvc("b", 0)), "b")
	if r := h.last.Reserved; len(r) != 1 || !r[0].Cooldown || !r[0].Until.Equal(epoch.Add(61*time.Minute)) {
		t.Errorf("held back %v", r)
	}
	h.expect(h.at(61*time.Minute, aSvc("b", 0)), "b 10.0.0.1")
}

func TestCooldownOfAnAddressThatAServiceGivesUp(t *testing.T) {
	h := newHistory(t, aPool("p", "10.0.0.1", cools(time.Minute)), aPool("q", "10.0.1.1"))
	h.expect(h.at(0, aSvc("a", 0)), "a 10.0.0.1")
	h.expect(h.at(1, aSvc("a", 0, asksPool("q")), aSvc("b", 1)), "a 10.0.1.1, b")
	h.expect(h.at(2*time.Minute, aSvc("a", 0, asksPool("q")), aSvc("b", 1)), "a 10.0.1.1, b 10.0.0.1")
	// Its last holder may return at any time.
	h = newHistory(t, aPool("p", "10.0.0.1", cools(time.Minute)))
	h.expect(h.at(0, aSvc("a", 0)), "a 10.0.0.1")
	h.expect(h.at(1, aSvc("b", 0)), "b")
	h.expect(h.at(2, aSvc("a", 5), aSvc("b", 0)), "a 10.0.0.1, b")
}

// After a start nothing is known of before, so nothing counts as freed.
func TestUnknownPastFreesNothing(t *testing.T) {
	res := Plan(Input{Pools: []lb.Pool{aPool("p", "10.0.0.1", cools(time.Minute), reserves(time.Hour))}, Services: []lb.Service{aSvc("a", 0)}, Now: epoch})
	if len(res.Reserved) > 0 || len(res.Outcomes[0].Addrs) != 1 {
		t.Errorf("%+v", res)
	}
}

func TestUsage(t *testing.T) {
	const huge = math.MaxInt64
	for _, r := range []struct {
		name     string
		pool     lb.Pool
		services []lb.Service
		want     Usage
	}{
		{"free", aPool("p", "10.0.0.0-10.0.0.255 fd00::-fd00::f"), nil, Usage{AvailableIPv4: 256, AvailableIPv6: 16}},
		{"shared addresses count once", aPool("p", "10.0.0.0-10.0.0.9"), []lb.Service{aSvc("x", 0, shares("k", 1)), aSvc("y", 0, shares("k", 2)), aSvc("z", 0)},
			Usage{AssignedIPv4: 2, AvailableIPv4: 8, Services: 3}},
		{"a dual-stack Service counts once", aPool("p", "10.0.0.0-10.0.0.9 fd00::-fd00::f"), []lb.Service{aSvc("x", 0, stack(dual4, lb.RequireDualStack))},
			Usage{AssignedIPv4: 1, AssignedIPv6: 1, AvailableIPv4: 9, AvailableIPv6: 15, Services: 1}},
		{"buggy addresses do not count", aPool("p", "10.0.0.254-10.0.3.1", avoidBuggy), nil, Usage{AvailableIPv4: 516 - 6}},
		{"one buggy address", aPool("p", "10.0.0.255-10.0.0.255 10.0.1.7", avoidBuggy), nil, Usage{AvailableIPv4: 1}},
		{"a /64 is more than fits", aPool("p", "fd00::-fd00::ffff:ffff:ffff:ffff"), []lb.Service{aSvc("x", 0, stack(only6, lb.SingleStack))},
			Usage{AssignedIPv6: 1, AvailableIPv6: huge, Services: 1}},
		{"so is a /66, a /67 is not", aPool("p", "fd00::-fd00::3fff:ffff:ffff:ffff"), nil, Usage{AvailableIPv6: huge}},
		{"a /67", aPool("p", "fd00::-fd00::1fff:ffff:ffff:ffff"), nil, Usage{AvailableIPv6: 1 << 61}},
		{"sums do not overflow", aPool("p", "fd00::-fd00::ffff:ffff:ffff:ffff fd01::1 fd02::-fd02::1fff:ffff:ffff:ffff"), nil, Usage{AvailableIPv6: huge}},
		{"many large ranges", aPool("p", "fd00::-fd00::1fff:ffff:ffff:ffff fd01::-fd01::1fff:ffff:ffff:ffff fd02::-fd02::1fff:ffff:ffff:ffff fd03::-fd03::1fff:ffff:ffff:ffff"),
			nil, Usage{AvailableIPv6: huge}},
		{"all of IPv4", aPool("p", "0.0.0.0-255.255.255.255"), nil, Usage{AvailableIPv4: 1 << 32}},
		{"a closed pool has nothing to give", aPool("p", "10.0.0.0-10.0.0.9", closed), []lb.Service{aSvc("x", 0, has("10.0.0.1", "p"))}, Usage{AssignedIPv4: 1, Services: 1}},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.want.Pool = "p"
			if got := Plan(Input{Pools: []lb.Pool{r.pool}, Services: r.services}).Usage; !slices.Equal(got, []Usage{r.want}) {
				t.Errorf("got %+v, want %+v", got, r.want)
			}
		})
	}
}
