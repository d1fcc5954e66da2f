// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Packed is a Service as the programs keep it: its identity in the clear, and the rest in the
// encoding of the API. Programs hold every Service of the cluster and look into few of them at
// a time; a decoded one takes 2 to 4 KiB of memory, most of it empty fields, a packed one
// about half a KiB. It never changes.
//
// What neither program reads is left out. A Service of type LoadBalancer keeps all metadata
// but managedFields, because a status update sends the metadata back and the API server takes
// an absent annotation for a removed one. (Absent managedFields are safe: the server keeps its
// own. So is an incomplete spec, which a status update cannot change.)
type Packed struct {
	namespace, name, version string
	uid                      types.UID
	told                     unique.Handle[told] // mostly the same for thousands
	data                     []byte              // nil: the Service is none of ours and never was
	addressed                bool
}

// told is what the condition on the Service says, zero if there is none.
type told struct {
	status  metav1.ConditionStatus
	reason  string
	message string // only where it decides something, see saysSo
}

// Pack keeps a Service. The Service must not change any more.
func Pack(in *corev1.Service) *Packed { return PackNext(in, nil) }

// PackNext is Pack for another version of a Service. It takes the memory of what stays the same
// from before, if there is any: what is compiled from one version refers to its names, too.
func PackNext(in *corev1.Service, before *Packed) *Packed {
	p := &Packed{
		namespace: unique.Make(in.Namespace).Value(), name: in.Name, version: in.ResourceVersion, uid: in.UID,
	}
	if before != nil && before.uid == in.UID && before.name == in.Name {
		p.name, p.uid = before.name, before.uid
	}
	if in.Spec.Type != corev1.ServiceTypeLoadBalancer && !CarriesAssignment(in) {
		p.told = unique.Make(told{})
		return p
	}
	p.told = unique.Make(toldBy(in))
	p.addressed = len(in.Status.LoadBalancer.Ingress) > 0
	kept := corev1.Service{ObjectMeta: in.ObjectMeta, Spec: readSpec(&in.Spec), Status: in.Status}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = "", "", "", ""
	kept.ManagedFields = nil
	data, err := kept.Marshal()
	if err != nil {
		// The encoder fails for values that it was not generated for, which no Service has.
		panic(fmt.Sprintf("encode service %s: %v", p.Key(), err))
	}
	p.data = data
	return p
}

// readSpec returns the fields that Compile reads.
func readSpec(in *corev1.ServiceSpec) corev1.ServiceSpec {
	out := corev1.ServiceSpec{
		Type: in.Type, LoadBalancerClass: in.LoadBalancerClass, LoadBalancerIP: in.LoadBalancerIP,
		ClusterIPs: in.ClusterIPs, IPFamilyPolicy: in.IPFamilyPolicy, ExternalTrafficPolicy: in.ExternalTrafficPolicy,
	}
	if len(in.ClusterIPs) == 0 {
		out.ClusterIP = in.ClusterIP
	}
	if in.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		out.Selector = in.Selector
	}
	for _, p := range in.Ports {
		out.Ports = append(out.Ports, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
	}
	return out
}

func toldBy(in *corev1.Service) told {
	c := meta.FindStatusCondition(in.Status.Conditions, ConditionAddressAssigned)
	if c == nil {
		return told{}
	}
	t := told{status: c.Status, reason: c.Reason}
	if c.Status != metav1.ConditionTrue {
		t.message = c.Message
	}
	return t
}

// Unpack returns the Service with what Pack kept of it; it is the caller's own.
func (p *Packed) Unpack() *corev1.Service {
	out := &corev1.Service{}
	if p.data != nil {
		if err := out.Unmarshal(p.data); err != nil {
			panic(fmt.Sprintf("decode service %s, which was encoded here: %v", p.Key(), err))
		}
	}
	out.Namespace, out.Name, out.UID, out.ResourceVersion = p.namespace, p.name, p.uid, p.version
	return out
}

// WithVersion returns the same Service with another resource version.
func (p *Packed) WithVersion(version string) *Packed {
	out := *p
	out.version = version
	return &out
}

// Key returns namespace and name.
func (p *Packed) Key() lb.Key { return lb.Key{Namespace: p.namespace, Name: p.name} }

// GetNamespace returns the namespace.
func (p *Packed) GetNamespace() string { return p.namespace }

// GetName returns the name.
func (p *Packed) GetName() string { return p.name }

// GetUID returns the UID.
func (p *Packed) GetUID() types.UID { return p.uid }

// GetResourceVersion returns the version of the object that was packed.
func (p *Packed) GetResourceVersion() string { return p.version }

// Addressed says whether the Service is or was ours and its status names an address.
func (p *Packed) Addressed() bool { return p.addressed }

// Complains says whether the Service has an address and a condition that says otherwise than that
// it has all it asked for.
func (p *Packed) Complains() bool {
	return p.addressed && !p.told.Value().satisfied(lb.IPAllocated)
}

// Find returns the Services that the elements of a list are about, nil for a key without a Service. It
// makes no map of all Services, of which there may be tens of thousands.
func Find[E any](services []*Packed, list []E, key func(*E) lb.Key) map[lb.Key]*Packed {
	found := make(map[lb.Key]*Packed, len(list))
	for i := range list {
		found[key(&list[i])] = nil
	}
	if len(found) == 0 {
		return found
	}
	for _, s := range services {
		if _, wanted := found[s.Key()]; wanted {
			found[s.Key()] = s
		}
	}
	return found
}

// Says reports whether the condition on the Service says what the verdict says, so that a
// Service that has its addresses needs no write.
func (p *Packed) Says(v Verdict) bool { return p.told.Value().saysSo(v) }

// saysSo is lenient where a write would only be cosmetic: a Service that has its addresses
// needs no condition, as long as none denies it.
func (t told) saysSo(v Verdict) bool {
	switch {
	case len(v.Addrs) > 0:
		return t.satisfied(v.Reason)
	case v.Reason == "":
		return t == told{}
	default:
		return t.status == metav1.ConditionFalse &&
			t.reason == conditionReason(v.Reason) && strings.HasPrefix(t.message, v.Headline)
	}
}

// satisfied says whether there is no condition that denies that the Service has addresses, for
// the reason given.
func (t told) satisfied(r lb.Reason) bool {
	return t == told{} || t.status == metav1.ConditionTrue && t.reason == conditionReason(r)
}
