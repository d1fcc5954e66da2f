// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Layer2 is MetalLB's word for the protocol, used in events and metrics.
const Layer2 = "layer2"

// Event is a Kubernetes event that a change deserves.
type Event struct {
	Service lb.Key
	Warning bool // Normal otherwise
	Reason  lb.Reason
	Message string
}

// Transitions returns the events for the way from one plan to the next, in the order of
// next.Why: nodeAssigned when the first address of a Service comes to this node, withdrawn
// when the last one leaves it, announceFailed when an address owned by this node cannot be
// announced on it. A change from or to an unknown plan is judged as no news: after an
// unknown next nothing is said, and an unknown prev counts as having announced nothing.
//
// A Service that is gone gets no event, for there is nothing left to attach it to.
func Transitions(prev, next Desired) []Event {
	if !next.Known {
		return nil
	}
	before, after := announcedServices(prev), announcedServices(next)
	failedBefore := failures(prev)
	done := map[lb.Key]bool{}
	out := conflictEvents(prev, next)
	for i := range next.Why {
		e := &next.Why[i]
		if e.Reason == lb.AnnounceFailed && !failedBefore[place{e.Service, e.Addr}] {
			out = append(out, failed(e, next.Self))
		}
		if before[e.Service] == after[e.Service] || done[e.Service] {
			continue
		}
		done[e.Service] = true
		if after[e.Service] {
			out = append(out, assigned(e.Service, next.Self))
		} else {
			out = append(out, withdrawn(e, prev.Self))
		}
	}
	return out
}

func assigned(service lb.Key, self string) Event {
	return Event{
		Service: service, Reason: lb.NodeAssigned,
		Message: fmt.Sprintf("announcing from node %q with protocol %q", self, Layer2),
	}
}

func withdrawn(e *Explanation, self string) Event {
	return Event{
		Service: e.Service, Reason: lb.Withdrawn,
		Message: fmt.Sprintf("no longer announcing from node %q with protocol %q: %s", self, Layer2, e.Text()),
	}
}

func failed(e *Explanation, self string) Event {
	out := Event{Service: e.Service, Warning: true, Reason: lb.AnnounceFailed}
	if e.Absent { // MetalLB's words
		out.Message = fmt.Sprintf("the interfaces specified by LB IP %q doesn't exist in assigned node %q with protocol %q", e.Addr, self, Layer2)
	} else {
		out.Message = fmt.Sprintf("cannot announce %q from assigned node %q with protocol %q: %s", e.Addr, self, Layer2, e.Text())
	}
	return out
}

// Text says the reason in words that fit after "not announced here:".
func (e *Explanation) Text() string {
	switch e.Reason {
	case lb.NodeAssigned:
		return "announced by this node"
	case lb.NotOwner:
		return fmt.Sprintf("node %q owns the address", e.Owner)
	case lb.NoPool:
		return "no IPAddressPool holds the address"
	case lb.NoMatchingAdvertisement:
		return "no L2Advertisement selects its pool, the Service and this node"
	case lb.SharedIPWithServiceSelector:
		return "a Service with allow-shared-ip cannot be announced by an L2Advertisement with serviceSelectors"
	case lb.NoEndpoints:
		return "the Service has no usable endpoint"
	case lb.NoLocalEndpoints:
		return "externalTrafficPolicy is Local and no usable endpoint is on this node"
	case lb.NodeNetworkUnavailable:
		return "the network of this node is unavailable"
	case lb.NodeLabeledExcludeBalancers:
		return "this node is labelled to be excluded from load balancers"
	case lb.NoSpeaker:
		return "this node is not a live member of the cluster"
	case lb.NoInterface:
		return noCarrier
	case lb.AnnounceFailed:
		return e.failure()
	default:
		return string(e.Reason)
	}
}

// failure says why the node that owns the address cannot announce it.
func (e *Explanation) failure() string {
	switch {
	case e.Absent:
		return "none of the interfaces named by the L2Advertisements exists on this node"
	case e.Addr.Is6():
		return noCarrier + " and an IPv6 link-local address"
	default:
		return noCarrier
	}
}

const noCarrier = "no interface of this node that may announce the address has carrier"

// announcedServices are the Services with at least one address announced here.
func announcedServices(d Desired) map[lb.Key]bool {
	out := map[lb.Key]bool{}
	for i := range d.L2 {
		for _, k := range d.L2[i].Services {
			out[k] = true
		}
	}
	return out
}

// failures are the places where announcing failed.
func failures(d Desired) map[place]bool {
	out := map[place]bool{}
	for i := range d.Why {
		if e := &d.Why[i]; e.Reason == lb.AnnounceFailed {
			out[place{e.Service, e.Addr}] = true
		}
	}
	return out
}
