// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// ConditionAddressAssigned is the condition that the controller keeps on a Service of type
// LoadBalancer: True when it has the addresses it asked for, False with the reason and the
// cure when it has not. A Service that already had its addresses when Clarion came is not
// written only to add the condition.
const ConditionAddressAssigned = "metallb.io/AddressAssigned"

// Verdict is what the controller wants to be written on one Service. No addresses and no
// reason means that nothing of ours shall be left on it.
type Verdict struct {
	Addrs   []netip.Addr
	Pool    string
	Reason  lb.Reason
	Message string
	// Headline is how Message begins as long as its cause is the same. The rest of it, such as
	// who else holds what, changes all the time and is no reason to write.
	Headline string
}

// Render returns the Service as it shall be written, and false when what is there is right
// already. The input is not changed. An ingress entry that names a wanted address is kept as
// it is, so that an ipMode filled in by the API server or by a user makes no difference.
func Render(in *corev1.Service, v Verdict, now time.Time) (*corev1.Service, bool) {
	ingress := renderIngress(in.Status.LoadBalancer.Ingress, v.Addrs)
	moved := !sameAddrs(in.Status.LoadBalancer.Ingress, ingress)
	relabelled := PoolAnnotation(in) != v.Pool
	if !moved && !relabelled && toldBy(in).saysSo(v) {
		return nil, false
	}
	out := *in
	out.Annotations = WithPoolAnnotation(in.Annotations, v.Pool)
	out.Status = *in.Status.DeepCopy()
	out.Status.LoadBalancer.Ingress = ingress
	setCondition(&out, v, now)
	return &out, true
}

func renderIngress(have []corev1.LoadBalancerIngress, want []netip.Addr) []corev1.LoadBalancerIngress {
	var out []corev1.LoadBalancerIngress
	for _, addr := range want {
		i := slices.IndexFunc(have, func(h corev1.LoadBalancerIngress) bool {
			a, err := parseAddr(h.IP)
			return err == nil && a == addr
		})
		if i >= 0 {
			out = append(out, *have[i].DeepCopy())
		} else {
			out = append(out, corev1.LoadBalancerIngress{IP: addr.String()})
		}
	}
	return out
}

func sameAddrs(a, b []corev1.LoadBalancerIngress) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.LoadBalancerIngress) bool {
		return x.IP == y.IP && x.Hostname == y.Hostname
	})
}

func setCondition(out *corev1.Service, v Verdict, now time.Time) {
	if len(v.Addrs) == 0 && v.Reason == "" {
		meta.RemoveStatusCondition(&out.Status.Conditions, ConditionAddressAssigned)
		return
	}
	status := metav1.ConditionFalse
	if len(v.Addrs) > 0 {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&out.Status.Conditions, metav1.Condition{
		Type: ConditionAddressAssigned, Status: status,
		Reason: conditionReason(v.Reason), Message: v.Message,
		ObservedGeneration: out.Generation, LastTransitionTime: metav1.NewTime(now),
	})
}

// conditionReason makes a reason fit the schema of conditions, which allows no blanks:
// one of MetalLB's event reasons is "not enough clusterips".
func conditionReason(r lb.Reason) string {
	if r == lb.NotEnoughClusterIPs {
		return "NotEnoughClusterIPs"
	}
	return string(r)
}

// PoolAnnotation returns the pool that the Service says its addresses come from.
func PoolAnnotation(s *corev1.Service) string { return s.Annotations[AnnotationAllocatedPool] }

// WithPoolAnnotation returns a copy of the annotations that names the pool, or no pool.
func WithPoolAnnotation(annotations map[string]string, pool string) map[string]string {
	out := maps.Clone(annotations)
	if pool == "" {
		delete(out, AnnotationAllocatedPool)
		return out
	}
	if out == nil {
		out = map[string]string{}
	}
	out[AnnotationAllocatedPool] = pool
	return out
}

// CarriesAssignment says whether a Service bears the controller's mark. One that is not of
// type LoadBalancer any more is to be cleaned of it.
func CarriesAssignment(s *corev1.Service) bool {
	_, marked := s.Annotations[AnnotationAllocatedPool]
	return marked
}
