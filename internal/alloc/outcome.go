// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Outcome says what one Service should have, and why.
type Outcome struct {
	Service lb.Key
	// Addrs is what status.loadBalancer.ingress should list, in this order: addresses that
	// stay come first, in their old order. Empty means that the status must be empty.
	Addrs []netip.Addr
	// Kept is how many of Addrs the status listed before.
	Kept int
	// Pool is the pool for the ip-allocated-from-pool annotation, "" when Addrs is empty.
	Pool string
	// Changed says that status or annotation differ from the above and must be written.
	Changed bool

	// Reason is IPAllocated when the Service has all it asked for, else what is wrong. A
	// Service can have addresses and a problem (AdditionalAssignFailed, LoadBalancerFailed).
	Reason lb.Reason
	// Message explains any other reason than IPAllocated: MetalLB's words, then who holds
	// what and what cures it.
	Message string
	// headline is how much of Message stays the same while the cause does.
	headline int
	// Cleared says why an address was taken away, "" if none was.
	Cleared string
}

// Event is what the user of a Service should be told.
type Event struct {
	Warning bool // of type Warning; Normal otherwise
	Reason  lb.Reason
	Message string
}

// Headline is the part of Message that stays the same while its cause does: compare
// headlines, not messages, to find out whether there is news.
func (o *Outcome) Headline() string { return o.Message[:o.headline] }

// Text is Message, or what to say of a Service that has all it asked for.
func (o *Outcome) Text() string {
	if o.Message == "" && len(o.Addrs) > 0 {
		return "Assigned IP " + quoteAddrs(o.Addrs)
	}
	return o.Message
}

// Events returns what is new in this outcome. What was taken or given is told once, because
// the next outcome no longer has it; a standing problem is told when told, the last outcome
// whose events were sent (or the zero Outcome), did not have it.
func (o *Outcome) Events(told Outcome) []Event {
	var out []Event
	name := strconv.Quote(o.Service.String())
	if o.Cleared != "" {
		out = append(out, Event{Reason: lb.ClearAssignment, Message: "current IP for " + name +
			" not allowed by config, will attempt for new IP assignment: " + o.Cleared})
	}
	if added := o.Addrs[o.Kept:]; len(added) > 0 {
		text := "Assigned IP "
		if o.Kept > 0 {
			text = "Assigned additional IP "
		}
		out = append(out, Event{Reason: lb.IPAllocated, Message: text + quoteAddrs(added)})
	}
	if o.Reason == lb.IPAllocated || o.Reason == told.Reason && o.Headline() == told.Headline() {
		return out
	}
	e := Event{Warning: true, Reason: o.Reason, Message: o.Message}
	switch o.Reason {
	case lb.AllocationFailed:
		e.Message = "Failed to allocate IP for " + name + ": " + o.Message
	case lb.AdditionalAssignFailed:
		e.Warning = false
	}
	return append(out, e)
}

// outcome writes down what was found for a Service.
func (p *planner) outcome(i int32, o *Outcome) {
	s := &p.svcs[i]
	o.Service, o.Addrs, o.Kept, o.Cleared = s.Key, s.addrs, int(s.kept), s.cleared
	if s.home != none {
		o.Pool = p.list[s.home].Name
	}
	o.Changed = s.AssignedUnreadable || o.Pool != s.AssignedPool || !slices.Equal(s.addrs, s.Assigned)
	if s.fail.kind == noFailure {
		o.Reason = lb.IPAllocated
		return
	}
	t := p.explain(i)
	o.Reason, o.Message, o.headline = t.reason, t.message, t.head
}

// quoteAddrs writes addresses as MetalLB does in its events: ["10.0.0.1" "fd00::1"].
func quoteAddrs(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, a := range addrs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		b.WriteString(a.String())
		b.WriteByte('"')
	}
	b.WriteByte(']')
	return b.String()
}
