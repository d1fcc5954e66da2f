// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

var (
	before = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now    = before.Add(time.Hour)
)

func object(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "metallb-system", Name: name, Generation: 2}
}

func mistake(kind, name, field string) lb.Problem {
	return lb.Problem{
		Kind: kind, Object: lb.Key{Namespace: "metallb-system", Name: name}, Field: field,
		Reason: lb.InvalidConfiguration, Message: "is wrong",
	}
}

func stored(status metav1.ConditionStatus, generation int64, reason, message string) []metav1.Condition {
	return []metav1.Condition{{
		Type: cluster.ConditionValid, Status: status, ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(before), Reason: reason, Message: message,
	}}
}

const allInUse = "all of the object is in use"

func TestEachKindIsToldWhetherItIsValid(t *testing.T) {
	objects := func(conditions []metav1.Condition) cluster.Objects {
		return cluster.Objects{
			L2Advertisements:  []*v1beta1.L2Advertisement{{ObjectMeta: object("x"), Status: v1beta1.L2AdvertisementStatus{Conditions: conditions}}},
			BGPAdvertisements: []*v1beta1.BGPAdvertisement{{ObjectMeta: object("x"), Status: v1beta1.BGPAdvertisementStatus{Conditions: conditions}}},
			BGPPeers:          []*v1beta2.BGPPeer{{ObjectMeta: object("x"), Status: v1beta2.BGPPeerStatus{Conditions: conditions}}},
			BFDProfiles:       []*v1beta1.BFDProfile{{ObjectMeta: object("x"), Status: v1beta1.BFDProfileStatus{Conditions: conditions}}},
			Communities:       []*v1beta1.Community{{ObjectMeta: object("x"), Status: v1beta1.CommunityStatus{Conditions: conditions}}},
		}
	}
	kinds := []string{"L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"}
	other := metav1.Condition{Type: "Other", Status: metav1.ConditionFalse, Reason: "Theirs"}
	for name, c := range map[string]struct {
		stored []metav1.Condition
		fields []string // those with a mistake
		want   string   // "" for no write
		since  time.Time
	}{
		"never told":             {nil, nil, "True Accepted: " + allInUse, now},
		"told already":           {stored(metav1.ConditionTrue, 2, "Accepted", allInUse), nil, "", before},
		"edited":                 {stored(metav1.ConditionTrue, 1, "Accepted", allInUse), nil, "True Accepted: " + allInUse, before},
		"became wrong":           {stored(metav1.ConditionTrue, 1, "Accepted", allInUse), []string{"spec.a"}, "False InvalidConfiguration: spec.a: is wrong", now},
		"wrong in two fields":    {nil, []string{"spec.a", "spec.b"}, "False InvalidConfiguration: spec.a: is wrong; spec.b: is wrong", now},
		"wrong in another field": {stored(metav1.ConditionFalse, 1, "InvalidConfiguration", "spec.a: is wrong"), []string{"spec.b"}, "False InvalidConfiguration: spec.b: is wrong", before},
		"still wrong":            {stored(metav1.ConditionFalse, 2, "InvalidConfiguration", "spec.a: is wrong"), []string{"spec.a"}, "", before},
		"made right":             {stored(metav1.ConditionFalse, 1, "InvalidConfiguration", "spec.a: is wrong"), nil, "True Accepted: " + allInUse, now},
		"condition of others":    {[]metav1.Condition{other}, nil, "True Accepted: " + allInUse, now},
	} {
		t.Run(name, func(t *testing.T) {
			var problems []lb.Problem
			for _, kind := range kinds {
				for _, f := range c.fields {
					problems = append(problems, mistake(kind, "x", f))
				}
				problems = append(problems, mistake(kind, "another", "spec.z"))
			}
			in, untouched := objects(c.stored), objects(append([]metav1.Condition(nil), c.stored...))
			out := cluster.RenderConfig(in, nil, problems, now)
			if !reflect.DeepEqual(in, untouched) {
				t.Error("the input was changed")
			}
			if c.want == "" {
				if len(out) > 0 {
					t.Fatalf("%d writes, want none", len(out))
				}
				return
			}
			if len(out) != len(kinds) {
				t.Fatalf("%d writes, want one for each of %v", len(out), kinds)
			}
			for i, o := range out {
				all := conditionsIn(t, o)
				last := all[len(all)-1]
				got := fmt.Sprintf("%s %s: %s", last.Status, last.Reason, last.Message)
				if o.Kind != kinds[i] || got != c.want {
					t.Errorf("%s: %q, want %s: %q", o.Kind, got, kinds[i], c.want)
				}
				if !last.LastTransitionTime.Time.Equal(c.since) || last.ObservedGeneration != 2 {
					t.Errorf("%s: since %s for generation %d, want %s for 2", o.Kind, last.LastTransitionTime, last.ObservedGeneration, c.since)
				}
				if name == "condition of others" && (len(all) != 2 || all[0] != other) {
					t.Errorf("%s: the conditions are %v, want the other one kept", o.Kind, all)
				}
			}
		})
	}
}

func conditionsIn(t *testing.T, o cluster.ConfigObject) []metav1.Condition {
	t.Helper()
	status := reflect.ValueOf(o.Object).Elem().FieldByName("Status").FieldByName("Conditions")
	conditions, ok := status.Interface().([]metav1.Condition)
	if !ok || len(conditions) == 0 {
		t.Fatalf("%s has no conditions", o.Kind)
	}
	return conditions
}

func TestPeerWithUnreadPasswordIsNeitherValidNorInvalid(t *testing.T) {
	peer := &v1beta2.BGPPeer{ObjectMeta: object("p")}
	peer.Spec.PasswordSecret.Name = "secret"
	for name, c := range map[string]struct {
		listed   bool
		problems []lb.Problem
		want     metav1.ConditionStatus
	}{
		"secrets not read":             {false, nil, metav1.ConditionUnknown},
		"secrets not read and mistake": {false, []lb.Problem{mistake("BGPPeer", "p", "spec.myASN")}, metav1.ConditionFalse},
		"secrets read":                 {true, nil, metav1.ConditionTrue},
	} {
		t.Run(name, func(t *testing.T) {
			o := cluster.Objects{BGPPeers: []*v1beta2.BGPPeer{peer}, SecretsListed: c.listed}
			out := cluster.RenderConfig(o, nil, c.problems, now)
			if len(out) != 1 || conditionsIn(t, out[0])[0].Status != c.want {
				t.Errorf("the writes are %v, want one with %s", out, c.want)
			}
		})
	}
}

func TestPoolStatusIsWrittenOnlyWhenItDiffers(t *testing.T) {
	pool := &v1beta1.IPAddressPool{ObjectMeta: object("gold")}
	verdicts := map[string]cluster.PoolVerdict{"gold": {AssignedIPv4: 3, AvailableIPv4: 5}}
	o := cluster.Objects{Pools: []*v1beta1.IPAddressPool{pool}}
	out := cluster.RenderConfig(o, verdicts, nil, now)
	if len(out) != 1 {
		t.Fatalf("%d writes of a pool without status, want 1", len(out))
	}
	written, ok := out[0].Object.(*v1beta1.IPAddressPool)
	if !ok || written.Status.AssignedIPv4 != 3 || written.Status.AvailableIPv4 != 5 || conditionsIn(t, out[0])[0].Status != metav1.ConditionTrue {
		t.Errorf("the pool is written as %+v", out[0].Object)
	}
	o.Pools[0] = written
	if again := cluster.RenderConfig(o, verdicts, nil, now.Add(time.Hour)); len(again) > 0 {
		t.Errorf("%d writes of a pool that is right, want none", len(again))
	}
	out = cluster.RenderConfig(o, nil, []lb.Problem{mistake("IPAddressPool", "gold", "spec.addresses")}, now)
	if len(out) != 1 || conditionsIn(t, out[0])[0].Status != metav1.ConditionFalse {
		t.Errorf("a pool that is not used at all leads to %v, want one write with False", out)
	}
}

// The status of a pool fits into etcd however much it holds back, and what is left out is what ends
// first. managedFields repeat the key of each entry and the names of its fields.
func TestStatusListsTheNewestReservationsThatFit(t *testing.T) {
	long := strings.Repeat("x", 63)
	var v cluster.PoolVerdict
	first := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:1000")
	for i, addr := 0, first; i < 2500; i, addr = i+1, addr.Next() {
		v.Reserved = append(v.Reserved, lb.Reservation{
			Addr: addr, Service: lb.Key{Namespace: long, Name: long}, Until: now.Add(time.Duration(i*7%2500) * time.Second),
		})
	}
	out, changed := cluster.RenderPool(&v1beta1.IPAddressPool{ObjectMeta: object("gold")}, v, now)
	if !changed || len(out.Status.Reserved) != 2000 {
		t.Fatalf("%d reservations are listed, want 2000", len(out.Status.Reserved))
	}
	size, managed := 0, len(`"k:{\"address\":\"\",\"name\":\"\",\"namespace\":\"\"}":{".":{},"f:address":{},"f:name":{},"f:namespace":{},"f:reason":{},"f:until":{}},`)
	for i, r := range out.Status.Reserved {
		if r.Until.Time.Before(now.Add(500 * time.Second)) {
			t.Fatalf("one that ends %v is listed in place of a newer one", r.Until)
		}
		if i > 0 && out.Status.Reserved[i-1].Address >= r.Address {
			t.Fatalf("%s comes after %s", r.Address, out.Status.Reserved[i-1].Address)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text) + 1
		size += managed + len(r.Address) + len(r.Name) + len(r.Namespace)
	}
	if size > 1280<<10 {
		t.Errorf("the list takes %d KiB of 1.5 MiB", size>>10)
	}
	if m := conditionsIn(t, cluster.ConfigObject{Object: out})[0].Message; !strings.Contains(m, "the newest 2000") {
		t.Errorf("the condition says %q", m)
	}
	v.Reserved = v.Reserved[:2000]
	out, _ = cluster.RenderPool(out, v, now)
	if m := conditionsIn(t, cluster.ConfigObject{Object: out})[0].Message; len(out.Status.Reserved) != 2000 || m != "all addresses are in use" {
		t.Errorf("all that can be listed: %d listed, and the condition says %q", len(out.Status.Reserved), m)
	}
}

func TestSummaryFitsIntoACondition(t *testing.T) {
	var problems []lb.Problem
	for i := range 1000 {
		problems = append(problems, mistake("L2Advertisement", "x", fmt.Sprintf("spec.nodeSelectors[%d]%s", i, strings.Repeat("x", 100))))
	}
	got := cluster.Summary(problems)
	if len(got) > 32768 || !strings.HasSuffix(got, " more") {
		t.Errorf("the summary has %d bytes and ends in %q", len(got), got[max(0, len(got)-40):])
	}
}
