// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// L2Status is the content of one ServiceL2Status object.
type L2Status struct {
	// Name is the name of the object. It follows from Node and Service, so that a speaker
	// that restarts finds its own objects and two speakers never write the same one.
	Name    string
	Node    string
	Service lb.Key
	// Interfaces are sorted; empty means every suitable one.
	Interfaces []string
	// Conflict tells which foreign hosts use addresses of the Service, "" for none.
	Conflict string
}

// L2Statuses returns the status objects that this node must keep, sorted by Service: one
// for each Service of which it announces an address.
func L2Statuses(d Desired) []L2Status {
	at := map[lb.Key]int{}
	var out []L2Status
	for _, a := range d.L2 {
		for _, k := range a.Services {
			i, ok := at[k]
			if !ok {
				at[k] = len(out)
				out = append(out, L2Status{
					Name: L2StatusName(d.Self, k), Node: d.Self, Service: k, Interfaces: slices.Clone(a.Interfaces),
				})
				continue
			}
			out[i].Interfaces = unionOfInterfaces(out[i].Interfaces, a.Interfaces)
		}
	}
	for i := range out {
		out[i].Conflict = conflictText(d, out[i].Service)
	}
	slices.SortFunc(out, func(a, b L2Status) int { return a.Service.Compare(b.Service) })
	return out
}

// unionOfInterfaces joins two lists of which an empty one means all.
func unionOfInterfaces(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// L2StatusName returns the name of the object in which a node reports on a Service.
func L2StatusName(node string, service lb.Key) string {
	// Names of nodes, namespaces and Services hold no slash, so the text is unambiguous.
	s := sha256.Sum256([]byte(node + "/" + service.String()))
	return "l2-" + hex.EncodeToString(s[:10])
}

// StaleL2Statuses returns the existing status objects that this node must delete: its own
// that it does not want, and those left behind on dead nodes for Services that it announces
// now. The objects of a live node are that node's business.
func StaleL2Statuses(d Desired, v lb.View, existing []L2Status) []L2Status {
	if !d.Known || !v.Known {
		return nil
	}
	wanted := map[string]bool{}
	for _, w := range L2Statuses(d) {
		wanted[w.Name] = true
	}
	announced := announcedServices(d)
	var out []L2Status
	for _, s := range existing {
		_, alive := slices.BinarySearch(v.Members, s.Node)
		mine := s.Node == d.Self && !wanted[s.Name]
		orphan := s.Node != d.Self && !v.All && !alive && announced[s.Service]
		if mine || orphan {
			out = append(out, s)
		}
	}
	return out
}
