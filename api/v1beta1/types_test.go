// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
)

// kinds returns an empty object of every kind of both versions, lists included.
func kinds(t *testing.T) map[schema.GroupVersionKind]runtime.Object {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatalf("register kinds: %v", err)
		}
	}
	out := map[schema.GroupVersionKind]runtime.Object{}
	for gvk, typ := range s.AllKnownTypes() {
		if strings.Contains(typ.PkgPath(), "/clarion/api/") {
			out[gvk] = reflect.New(typ).Interface().(runtime.Object)
		}
	}
	return out
}

func TestEveryKindIsRegistered(t *testing.T) {
	var got []string
	for gvk := range kinds(t) {
		got = append(got, gvk.GroupVersion().String()+" "+gvk.Kind)
	}
	slices.Sort(got)
	var want []string
	for _, k := range []string{
		"BFDProfile", "BGPAdvertisement", "BGPPeer", "BGPSessionState", "Community", "ConfigurationState",
		"IPAddressPool", "L2Advertisement", "ServiceBGPStatus", "ServiceL2Status",
	} {
		want = append(want, "metallb.io/v1beta1 "+k, "metallb.io/v1beta1 "+k+"List")
	}
	want = append(want, "metallb.io/v1beta2 BGPPeer", "metallb.io/v1beta2 BGPPeerList")
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestNothingIsLostInJSON(t *testing.T) {
	for gvk, obj := range kinds(t) {
		fill(reflect.ValueOf(obj).Elem(), 1)
		data, err := json.Marshal(obj)
		if err != nil {
			t.Fatalf("marshal %s: %v", gvk, err)
		}
		back := reflect.New(reflect.TypeOf(obj).Elem()).Interface()
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(back); err != nil {
			t.Fatalf("unmarshal %s: %v", gvk, err)
		}
		if diff := cmp.Diff(obj, back); diff != "" {
			t.Errorf("%s (-before +after):\n%s", gvk, diff)
		}
	}
}

func TestDeepCopySharesNothing(t *testing.T) {
	for gvk, obj := range kinds(t) {
		fill(reflect.ValueOf(obj).Elem(), 1)
		dup := obj.DeepCopyObject()
		if diff := cmp.Diff(obj, dup); diff != "" {
			t.Fatalf("%s: copy differs (-original +copy):\n%s", gvk, diff)
		}
		before, err := json.Marshal(obj)
		if err != nil {
			t.Fatalf("marshal %s: %v", gvk, err)
		}
		scramble(reflect.ValueOf(dup).Elem())
		after, err := json.Marshal(obj)
		if err != nil {
			t.Fatalf("marshal %s: %v", gvk, err)
		}
		if !bytes.Equal(before, after) {
			t.Errorf("%s: changing the copy changed the original:\n%s\n%s", gvk, before, after)
		}
	}
}

// The API server converts BGPPeers by changing apiVersion only, so each version must be able
// to hold, under the same name and type, whatever the other can.
func TestBGPPeerVersionsHoldTheSame(t *testing.T) {
	var old v1beta1.BGPPeerSpec
	var current v1beta2.BGPPeerSpec
	fill(reflect.ValueOf(&current).Elem(), 1)
	data, err := json.Marshal(current)
	if err != nil {
		t.Fatalf("marshal v1beta2: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&old); err != nil {
		t.Fatalf("read v1beta2 as v1beta1: %v", err)
	}
	back, err := json.Marshal(old)
	if err != nil {
		t.Fatalf("marshal v1beta1: %v", err)
	}
	if diff := cmp.Diff(string(data), string(back)); diff != "" {
		t.Errorf("v1beta2 read and written as v1beta1 (-before +after):\n%s", diff)
	}
	if a, b := reflect.TypeOf(old).NumField(), reflect.TypeOf(current).NumField(); a != b {
		t.Errorf("v1beta1 has %d fields, v1beta2 has %d", a, b)
	}
}

// fill sets every field below v to something that is not its zero value and differs from its
// neighbours'.
func fill(v reflect.Value, n int) int {
	switch v.Interface().(type) {
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.Time{Time: time.Unix(int64(n), 0)}))
		return n + 1
	case *metav1.FieldsV1: // raw JSON, of no interest here
		return n
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return fill(v.Index(1), fill(v.Index(0), n))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		n = fill(value, fill(key, n))
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
		return n
	case reflect.Struct:
		for i := range v.NumField() {
			n = fill(v.Field(i), n)
		}
		return n
	case reflect.String:
		v.SetString("s" + string(rune('a'+n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(n % 256))
	default:
		panic("no way to fill " + v.Type().String())
	}
	return n + 1
}

// scramble changes everything that can be reached from v, in place.
func scramble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().CanSet() {
			scramble(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.Zero(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				scramble(v.Field(i))
			}
		}
	default:
		v.SetZero()
	}
}
