// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// maxSummary is the length at which a summary gives up naming the rest: conditions and events
// have limits, and nobody reads more at once.
const maxSummary = 8000

// maxReserved is how many reservations of a pool its status lists. One with the longest names takes
// some 550 bytes, half of them in managedFields, and etcd refuses an object of more than 1.5 MiB.
const maxReserved = 2000

// PoolVerdict is what the controller found out about one pool.
type PoolVerdict struct {
	AssignedIPv4, AssignedIPv6   int64
	AvailableIPv4, AvailableIPv6 int64
	Reserved                     []lb.Reservation // those of this pool's addresses
	Problems                     []lb.Problem     // those of this pool
}

// RenderPool returns the pool with the status that it shall have, and false when it has that
// already. The input is not changed.
func RenderPool(in *v1beta1.IPAddressPool, v PoolVerdict, now time.Time) (*v1beta1.IPAddressPool, bool) {
	status := v1beta1.IPAddressPoolStatus{
		AssignedIPv4: v.AssignedIPv4, AssignedIPv6: v.AssignedIPv6,
		AvailableIPv4: v.AvailableIPv4, AvailableIPv6: v.AvailableIPv6,
		Conditions: in.DeepCopy().Status.Conditions,
	}
	listed := listedReservations(v.Reserved)
	for _, r := range listed {
		status.Reserved = append(status.Reserved, renderReservation(r))
	}
	valid := validity(in, "all addresses are in use", v.Problems, now)
	if len(listed) < len(v.Reserved) {
		valid.Message += fmt.Sprintf("; of what is held back only the newest %d are listed, and the next leader will not know of the others", maxReserved)
	}
	meta.SetStatusCondition(&status.Conditions, valid)
	if reflect.DeepEqual(status, in.Status) {
		return nil, false
	}
	out := *in
	out.Status = status
	return &out, true
}

// listedReservations returns those that end last, in their order, when there are too many to list.
func listedReservations(all []lb.Reservation) []lb.Reservation {
	if len(all) <= maxReserved {
		return all
	}
	newest := slices.Clone(all)
	slices.SortFunc(newest, func(a, b lb.Reservation) int { return cmp.Or(b.Until.Compare(a.Until), compareReservations(a, b)) })
	newest = newest[:maxReserved]
	slices.SortFunc(newest, compareReservations)
	return newest
}

func compareReservations(a, b lb.Reservation) int {
	return cmp.Or(a.Addr.Compare(b.Addr), a.Service.Compare(b.Service))
}

// Summary writes problems as one line for a condition or an error summary.
func Summary(problems []lb.Problem) string {
	var b strings.Builder
	for i, p := range problems {
		if i > 0 {
			b.WriteString("; ")
		}
		text := strings.TrimPrefix(p.Field+": "+p.Message, ": ")
		if len(text) > maxSummary { // it quotes something that is longer than anybody meant it to be
			text = strings.ToValidUTF8(text[:maxSummary], "") + "..."
		}
		if i > 0 && b.Len()+len(text) > maxSummary {
			fmt.Fprintf(&b, "and %d more", len(problems)-i)
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

// The times in an object have seconds, those of the allocator nanoseconds. A reservation that
// was stored and read back must not look changed, so what is stored is cut to seconds.
func renderReservation(r lb.Reservation) v1beta1.ReservedAddress {
	reason := v1beta1.Reservation
	if r.Cooldown {
		reason = v1beta1.Cooldown
	}
	return v1beta1.ReservedAddress{
		Address: r.Addr.String(), Namespace: r.Service.Namespace, Name: r.Service.Name,
		Until: metav1.NewTime(r.Until.Truncate(time.Second).Local()), Reason: reason,
	}
}

// Reservations reads back what RenderPool stored, for a controller that starts. Entries that
// cannot be read are left out.
func Reservations(pools []*v1beta1.IPAddressPool) []lb.Reservation {
	var out []lb.Reservation
	for _, p := range pools {
		for _, r := range p.Status.Reserved {
			addr, err := parseAddr(r.Address)
			if err != nil {
				continue
			}
			out = append(out, lb.Reservation{
				Addr: addr, Service: lb.Key{Namespace: r.Namespace, Name: r.Name},
				Until: r.Until.Time, Cooldown: r.Reason == v1beta1.Cooldown,
			})
		}
	}
	slices.SortFunc(out, compareReservations)
	return out
}
