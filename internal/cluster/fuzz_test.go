// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Whatever a Service's annotations say, the new key wins, the deprecated one is reported when it
// counts, and a request is either read or refused.
func FuzzServiceAnnotations(f *testing.F) {
	f.Add("metallb.io/address-pool", "a", "metallb.universe.tf/address-pool", "b", "")
	f.Add("metallb.io/allow-shared-ip", "", "metallb.universe.tf/allow-shared-ip", "key", "10.0.0.1")
	f.Add("metallb.universe.tf/loadBalancerIPs", "10.0.0.1,fd00::1", "x", "y", "")
	f.Add("metallb.io/loadBalancerIPs", "10.0.0.1, 10.0.0.2", "x", "y", "10.0.0.1")
	f.Add("metallb.io/ip-allocated-from-pool", "p", "metallb.io/loadBalancerIPs", "10.0.0.1%eth0", "")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2, single string) {
		annotations := map[string]string{key1: value1, key2: value2}
		in := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", Annotations: annotations},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", LoadBalancerIP: single,
				Ports: []corev1.ServicePort{{Port: 80}}},
		}
		got := compileService(in, "")
		reported := 0
		for _, s := range []struct {
			setting setting
			value   string
		}{{settingPool(), got.svc.RequestedPool}, {settingSharing(), got.svc.SharingKey}, {settingAddresses(), ""}} {
			value, isNew := annotations[s.setting.key]
			old, isOld := annotations[s.setting.deprecated]
			if !isNew {
				value = old
			}
			if s.setting != settingAddresses() && s.value != value {
				t.Fatalf("%v: %q, want %q", s.setting, s.value, value)
			}
			if isOld && !isNew {
				reported++
			}
		}
		if len(got.problems) != reported {
			t.Fatalf("%d deprecated annotations give %v", reported, got.problems)
		}
		if got.svc.RequestProblem != "" && len(got.svc.RequestedAddrs) > 0 {
			t.Fatalf("%q and %v at once", got.svc.RequestProblem, got.svc.RequestedAddrs)
		}
	})
}

// Whatever JSON the spec of a pool is, what comes out obeys what alloc relies on: ranges are of
// one family and in order, quotas and times are not negative, and lists are sorted.
func FuzzPoolSpec(f *testing.F) {
	f.Add(`{"addresses": ["10.0.0.1-10.0.0.9", "fd00::/64", "10.0.0.0/24"], "reservationTime": "24h", "cooldownTime": "-5m"}`)
	f.Add(`{"addresses": [" 10.0.0.9 - 10.0.0.1", "x"], "quotas": [{"namespace": "a", "addresses": -1}, {"namespaceSelector": {}}]}`)
	f.Add(`{"serviceAllocation": {"priority": -3, "namespaces": ["b", "a", "b"], "serviceSelectors": [{"matchExpressions": [{"key": "", "operator": "Near"}]}]}}`)
	f.Add(`{"addresses": ["::/0", "0.0.0.0/0"], "dualStackPartner": "p", "sharingPolicy": "Nonsense", "cooldownTime": "9999999h"}`)
	f.Fuzz(func(t *testing.T, spec string) {
		in := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}
		if json.Unmarshal([]byte(spec), &in.Spec) != nil {
			return
		}
		s, problems := Compile(Objects{Pools: []*v1beta1.IPAddressPool{in}})
		for _, p := range s.Pools {
			for n, r := range p.Ranges {
				if r.First.BitLen() != r.Last.BitLen() || r.Last.Less(r.First) || slices.ContainsFunc(p.Ranges[:n], r.Overlaps) {
					t.Fatalf("%s gives the ranges %v", spec, p.Ranges)
				}
			}
			if p.ReservationTime < 0 || p.CooldownTime < 0 || slices.ContainsFunc(p.Quotas, func(q lb.Quota) bool { return q.Max < 0 || !slices.IsSorted(q.Namespaces) }) {
				t.Fatalf("%s gives %+v", spec, p)
			}
			if p.Allocation != nil && !slices.IsSorted(p.Allocation.Namespaces) {
				t.Fatalf("%s gives %+v", spec, p.Allocation)
			}
		}
		for _, p := range problems {
			if p.Field == "" && !p.Ignored || p.Message == "" {
				t.Fatalf("%s gives the problem %+v", spec, p)
			}
		}
	})
}
