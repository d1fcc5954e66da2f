// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/version"

	"github.com/clarion-lb/clarion/lab/internal/topo"
)

const (
	leaseSeconds  = 40 // a real kubelet's
	renewInterval = 10 * time.Second
	retryInterval = time.Second
)

// registration keeps one Node object and its Lease.
type registration struct {
	lab    topo.Lab
	node   string
	client kubernetes.Interface
	log    *slog.Logger
}

// run registers the node and renews its lease until ctx ends. Failures are
// tried again at a shorter interval; after one the status is written anew,
// because the node may have been declared dead meanwhile.
func (r *registration) run(ctx context.Context) error {
	healthy := false
	for {
		err := r.beat(ctx, !healthy)
		if (err == nil) != healthy {
			healthy = err == nil
			r.log.Info("node registration changed", "healthy", healthy, "err", err)
		}
		wait := retryInterval
		if healthy {
			wait = renewInterval
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (r *registration) beat(ctx context.Context, always bool) error {
	n, err := r.client.CoreV1().Nodes().Get(ctx, r.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if n, err = r.object(); err != nil {
			return err
		}
		n, err = r.client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		always = true
	}
	if err != nil {
		return fmt.Errorf("register node: %w", err)
	}
	if always || !ready(n) {
		if err := r.writeStatus(ctx, n); err != nil {
			return err
		}
	}
	return r.renew(ctx, n)
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (r *registration) object() (*corev1.Node, error) {
	number, ok := r.lab.NodeNumber(r.node)
	if !ok {
		return nil, fmt.Errorf("%q is not a node of this lab", r.node)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: r.node,
		Labels: map[string]string{
			corev1.LabelHostname: r.node, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
		},
	}}
	for _, p := range r.lab.PodCIDRs(number) {
		n.Spec.PodCIDRs = append(n.Spec.PodCIDRs, p.String())
	}
	n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	return n, nil
}

func (r *registration) writeStatus(ctx context.Context, n *corev1.Node) error {
	addrs, err := r.lab.Addrs(r.node)
	if err != nil {
		return err
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods: resource.MustParse("240"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	s := corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: Port}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: version.Get().GitVersion, OperatingSystem: "linux", Architecture: runtime.GOARCH,
			OSImage: "clarion lab", ContainerRuntimeVersion: "lab://1",
		},
	}
	for _, a := range addrs {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.Addr().String()})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: r.node})
	s.Conditions = conditions(n.Status.Conditions, time.Now())
	patch, err := json.Marshal(map[string]any{"status": s})
	if err != nil {
		return fmt.Errorf("encode node status: %w", err)
	}
	_, err = r.client.CoreV1().Nodes().Patch(ctx, r.node, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("write node status: %w", err)
	}
	return nil
}

// conditions says that all is well; times of what was well before are kept.
func conditions(old []corev1.NodeCondition, now time.Time) []corev1.NodeCondition {
	out := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "hollow kubelet is ready"},
	}
	t := metav1.NewTime(now)
	for i := range out {
		out[i].LastHeartbeatTime, out[i].LastTransitionTime = t, t
		for _, o := range old {
			if o.Type == out[i].Type && o.Status == out[i].Status {
				out[i].LastTransitionTime = o.LastTransitionTime
			}
		}
	}
	for _, o := range old {
		if o.Type == corev1.NodeNetworkUnavailable { // another writer's
			out = append(out, o)
		}
	}
	return out
}

func (r *registration) renew(ctx context.Context, n *corev1.Node) error {
	leases := r.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NewMicroTime(time.Now()), int32(leaseSeconds)
	l, err := leases.Get(ctx, r.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: r.node, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}}},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &r.node, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
	} else if err == nil {
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &r.node, &seconds, &now
		_, err = leases.Update(ctx, l, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	return nil
}
