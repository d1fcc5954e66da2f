// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/clarion-lb/clarion/lab/internal/pod"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// instance is a pod as it runs on this node: played or made of processes.
type instance interface {
	// update hands over the newest object of the same pod.
	update(p *corev1.Pod)
	// containers returns the containers' statuses in the pod's order.
	containers() []corev1.ContainerStatus
	// stop begins to end the pod and reports whether it has ended; the pod is
	// synced again when it has.
	stop(grace time.Duration) bool
}

// Kubelet runs the pods of one node.
type Kubelet struct {
	dir    state.Dir
	node   string
	hostIP []netip.Addr
	api    netip.Addr // ClusterIP of the API server
	log    *slog.Logger
	nodes  *registration

	client kubernetes.Interface // for watches
	quick  kubernetes.Interface // for everything else
	store  cache.SharedIndexInformer
	queue  workqueue.TypedRateLimitingInterface[string]
	played *players

	mu        sync.Mutex // guards what follows
	addresses *pod.Addresses
	running   map[string]*entry // by namespace/name
}

// entry is what the kubelet remembers of one pod.
type entry struct {
	uid  types.UID
	ips  []netip.Addr
	inst instance
}

func newKubelet(d state.Dir, node string, log *slog.Logger) (*Kubelet, error) {
	cfg, err := d.Load()
	if err != nil {
		return nil, err
	}
	number, ok := cfg.NodeNumber(node)
	if !ok {
		return nil, fmt.Errorf("%q is not a node of this lab", node)
	}
	addrs, err := cfg.Addrs(node)
	if err != nil {
		return nil, err
	}
	k := &Kubelet{
		dir: d, node: node, log: log, api: cfg.KubernetesService()[0],
		addresses: pod.NewAddresses(cfg.PodCIDRs(number)), running: map[string]*entry{},
		played: &players{file: d.PlayFile(node), socket: d.PlaySocket(node)},
	}
	for _, a := range addrs {
		k.hostIP = append(k.hostIP, a.Addr())
	}
	if k.client, err = client(d, node, 0); err != nil {
		return nil, err
	}
	if k.quick, err = client(d, node, 8*time.Second); err != nil {
		return nil, err
	}
	k.nodes = &registration{lab: cfg.Lab, node: node, client: k.quick, log: log}
	k.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 5*time.Second))
	return k, nil
}

// run syncs pods until ctx ends.
func (k *Kubelet) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", k.node).String()
		}))
	k.store = factory.Core().V1().Pods().Informer()
	_, err := k.store.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.enqueue(o) },
		UpdateFunc: func(_, o any) { k.enqueue(o) },
		DeleteFunc: func(o any) { k.enqueue(o) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), k.store.HasSynced) {
		return ctx.Err()
	}
	k.recover()
	const workers = 4
	for range workers {
		go func() {
			for k.next(ctx) {
			}
		}()
	}
	<-ctx.Done()
	k.queue.ShutDown()
	return ctx.Err()
}

func (k *Kubelet) enqueue(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
		k.queue.Add(key)
	}
}

func (k *Kubelet) next(ctx context.Context) bool {
	key, quit := k.queue.Get()
	if quit {
		return false
	}
	defer k.queue.Done(key)
	if err := k.sync(ctx, key); err != nil {
		if ctx.Err() == nil {
			k.log.Warn("sync pod", "pod", key, "err", err)
			k.queue.AddRateLimited(key)
		}
		return true
	}
	k.queue.Forget(key)
	return true
}

// sync makes one pod as it should be. It is never called twice at a time for
// the same pod.
func (k *Kubelet) sync(ctx context.Context, key string) error {
	obj, exists, err := k.store.GetStore().GetByKey(key)
	if err != nil {
		return err
	}
	e := k.entry(key)
	if !exists {
		return k.drop(key, e, 0)
	}
	p := obj.(*corev1.Pod)
	if e != nil && e.uid != p.UID {
		// Deleted and made again under the same name.
		if err := k.drop(key, e, 0); err != nil || k.entry(key) != nil {
			return err
		}
		e = nil
	}
	switch {
	case p.DeletionTimestamp != nil:
		return k.finish(ctx, key, e, p)
	case p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed:
		return k.drop(key, e, 0)
	}
	if e == nil {
		if e, err = k.begin(ctx, key, p); err != nil {
			return err
		}
	}
	e.inst.update(p)
	return k.writeStatus(ctx, p, e)
}

func (k *Kubelet) entry(key string) *entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.running[key]
}

// begin gives a pod its addresses and starts it.
func (k *Kubelet) begin(ctx context.Context, key string, p *corev1.Pod) (*entry, error) {
	cfg, err := k.dir.Load()
	if err != nil {
		return nil, err
	}
	ips, err := k.address(p)
	if err != nil {
		return nil, err
	}
	e := &entry{uid: p.UID, ips: ips}
	again := func() { k.queue.Add(key) }
	if pod.IsProcess(p, cfg.Images) {
		e.inst = k.startProcess(ctx, p, ips, cfg, again)
	} else if e.inst, err = k.play(ctx, p, ips); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running[key] = e
	return e, nil
}

func (k *Kubelet) address(p *corev1.Pod) ([]netip.Addr, error) {
	if p.Spec.HostNetwork {
		return k.hostIP, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.addresses.Get(string(p.UID))
}

// finish ends a pod that is being deleted and then lets its object go.
func (k *Kubelet) finish(ctx context.Context, key string, e *entry, p *corev1.Pod) error {
	grace := time.Duration(0)
	if s := p.DeletionGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	if err := k.drop(key, e, grace); err != nil || k.entry(key) != nil {
		return err // comes back when the pod has ended
	}
	now := int64(0)
	err := k.quick.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod: %w", err)
	}
	return nil
}

// drop stops a pod and forgets it once it has ended.
func (k *Kubelet) drop(key string, e *entry, grace time.Duration) error {
	if e == nil || !e.inst.stop(grace) {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addresses.Release(string(e.uid))
	delete(k.running, key)
	k.queue.Add(key) // the name may be in use again
	return nil
}

// writeStatus writes the pod's status if it differs.
func (k *Kubelet) writeStatus(ctx context.Context, p *corev1.Pod, e *entry) error {
	s := pod.Status(p, pod.Observed{PodIPs: e.ips, HostIPs: k.hostIP, Containers: e.inst.containers()}, time.Now())
	if equality.Semantic.DeepEqual(p.Status, s) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": s})
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	_, err = k.quick.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// recover takes over what an earlier kubelet of this node left: the pods'
// addresses, and the processes of pods that are gone from the API.
func (k *Kubelet) recover() {
	alive := map[string]bool{}
	k.mu.Lock()
	for _, o := range k.store.GetStore().List() {
		p := o.(*corev1.Pod)
		alive[string(p.UID)] = true
		if ip, err := netip.ParseAddr(p.Status.PodIP); err == nil && !p.Spec.HostNetwork {
			k.addresses.Claim(string(p.UID), ip)
		}
	}
	k.mu.Unlock()
	containers, err := k.dir.Containers(k.node)
	if err != nil {
		k.log.Warn("read containers of an earlier kubelet", "err", err)
	}
	for _, c := range containers {
		if !alive[c.UID] {
			k.log.Info("remove the container of a pod that is gone", "pod", c.Pod, "container", c.Name)
			k.removeOrphan(c)
		}
	}
}
