// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// spec reads the spec of a BGPPeer in a version.
func spec(t *testing.T, version, name string) (*unstructured.Unstructured, any) {
	t.Helper()
	o := object(t, version, "BGPPeer", name, "")
	got, err := resource(o).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read BGPPeer in %s: %v", version, err)
	}
	return got, got.Object["spec"]
}

// An old client reads and writes back what a new one wrote.
func TestNothingIsLostThroughTheOldVersion(t *testing.T) {
	for name, content := range map[string]string{
		"numbered": `{myASN: 64512, peerASN: 64513, localASN: 64514, peerAddress: 192.0.2.1, sourceAddress: 192.0.2.2, peerPort: 60000,
			holdTime: 30s, keepaliveTime: 10s, connectTime: 5s, routerID: 10.0.0.1, nodeSelectors: [{matchExpressions: [{key: a, operator: Exists}]}],
			passwordSecret: {name: s, namespace: ns}, bfdProfile: fast, enableGracefulRestart: true, ebgpMultiHop: true, vrf: red,
			disableMP: true, dualStackAddressFamily: true}`,
		"passive":    "{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, peerPort: 179, listenPort: 1790}",
		"unnumbered": "{myASN: 64512, dynamicASN: external, interface: eth0}",
	} {
		t.Run(name, func(t *testing.T) {
			create(t, object(t, "v1beta2", "BGPPeer", name, content))
			_, before := spec(t, "v1beta2", name)
			old, asOld := spec(t, "v1beta1", name)
			if diff := cmp.Diff(before, asOld); diff != "" {
				t.Errorf("v1beta1 shows it differently (-v1beta2 +v1beta1):\n%s", diff)
			}
			old.SetLabels(map[string]string{"touched": "yes"})
			if _, err := resource(old).Update(t.Context(), old, metav1.UpdateOptions{}); err != nil {
				t.Fatalf("write back through v1beta1: %v", err)
			}
			if _, after := spec(t, "v1beta2", name); !cmp.Equal(before, after) {
				t.Errorf("after writing through v1beta1 (-before +after):\n%s", cmp.Diff(before, after))
			}
		})
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	for _, c := range []struct {
		version, kind, spec string
		want                map[string]any
	}{
		{"v1beta1", "IPAddressPool", "addresses: [192.0.2.0/24]", map[string]any{"autoAssign": true, "avoidBuggyIPs": false, "addresses": []any{"192.0.2.0/24"}}},
		{"v1beta1", "BGPAdvertisement", "{}", map[string]any{"aggregationLength": int64(32), "aggregationLengthV6": int64(128)}},
		{"v1beta2", "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1}", map[string]any{"myASN": int64(1), "peerASN": int64(2),
			"peerAddress": "192.0.2.1", "peerPort": int64(179), "disableMP": false, "dualStackAddressFamily": false}},
	} {
		got := create(t, object(t, c.version, c.kind, "defaults", c.spec))
		if diff := cmp.Diff(c.want, got.Object["spec"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.kind, diff)
		}
	}
}

func TestGracefulRestartCannotBeChanged(t *testing.T) {
	create(t, object(t, "v1beta2", "BGPPeer", "graceful", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, enableGracefulRestart: true}"))
	changed := object(t, "v1beta2", "BGPPeer", "graceful", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, enableGracefulRestart: false}")
	expectThat(t, "enableGracefulRestart cannot be changed", func(ctx context.Context) error { return dryUpdate(ctx, changed) })
	changed = object(t, "v1beta2", "BGPPeer", "graceful", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, enableGracefulRestart: true, holdTime: 9s}")
	expectThat(t, "", func(ctx context.Context) error { return dryUpdate(ctx, changed) })
}

// The status is a subresource, its object once named stays.
func TestStatusObjectsKeepTheirService(t *testing.T) {
	for _, kind := range []string{"ServiceL2Status", "ServiceBGPStatus"} {
		made := create(t, object(t, "v1beta1", kind, "status", ""))
		set := func(field, value string) error {
			o := made.DeepCopy()
			status := map[string]any{"node": "n1", "serviceName": "s", "serviceNamespace": "ns"}
			status[field] = value
			o.Object["status"] = status
			got, err := resource(o).UpdateStatus(t.Context(), o, metav1.UpdateOptions{})
			if err == nil {
				made = got
			}
			return err
		}
		if err := set("node", "n1"); err != nil {
			t.Fatalf("write status of %s: %v", kind, err)
		}
		for _, field := range []string{"node", "serviceName", "serviceNamespace"} {
			if err := set(field, "other"); err == nil {
				t.Errorf("%s: status.%s could be changed", kind, field)
			}
		}
	}
}

func TestSamplesAreAccepted(t *testing.T) {
	samples, err := readDir("samples")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, o := range samples {
		kinds[o.GetKind()] = true
		create(t, o) // together, as `kubectl apply -k config/samples` would
	}
	for _, kind := range []string{"IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"} {
		if !kinds[kind] {
			t.Errorf("no sample of a %s", kind)
		}
	}
}

// The API server checks the types in policies by itself and leaves its findings in their status.
func TestPoliciesHaveNoTypeErrors(t *testing.T) {
	policies, err := readDir("admission-policies")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		if p.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		t.Run(p.GetName(), func(t *testing.T) {
			var got *unstructured.Unstructured
			if err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) (err error) {
				if got, err = resource(p).Get(ctx, p.GetName(), metav1.GetOptions{}); err != nil {
					return err
				}
				checked, _, err := unstructured.NestedInt64(got.Object, "status", "observedGeneration")
				if err == nil && checked != got.GetGeneration() {
					err = errors.New("not checked yet")
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			warnings, _, err := unstructured.NestedSlice(got.Object, "status", "typeChecking", "expressionWarnings")
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Error(fmt.Sprint(w))
			}
		})
	}
}
