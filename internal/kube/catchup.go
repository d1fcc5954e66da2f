// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	catchUpPage  = 500 // objects read at a time, so that few are in memory twice
	catchUpFirst = 20 * time.Millisecond
	catchUpMost  = time.Second
)

// CatchUp returns when the local copies show what the API server has stored by now of all that an
// address is given by: every address that a Service has, every pool of the namespace, and every
// Namespace; and none that is gone. A new leader needs it: its watches may hang behind, as after
// a restart of the API server. Optimistic locking does not help against giving one Service what
// another one was given by the last leader, because those are two objects; and nothing at all
// would help those that lose an address because a pool was not seen yet. It returns an error only
// when ctx ends.
func (s *Sources) CatchUp(ctx context.Context, log *slog.Logger, c Clients, namespace string) error {
	begin := time.Now()
	for pause := catchUpFirst; ; pause = min(2*pause, catchUpMost) {
		if s.Missing() == "" {
			behind, err := s.behind(ctx, c, namespace)
			switch {
			case err != nil:
				log.Warn("compare the local copies with the API server; trying again", "error", err)
			case behind == "":
				log.Info("caught up", "took", time.Since(begin).Round(time.Millisecond))
				return nil
			default:
				log.Info("the watch is behind", "objects", behind)
			}
		}
		if err := daemon.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// behind says of which kind a copy is older than what is stored, or of something that is gone, and
// how many are; "" when none is.
func (s *Sources) behind(ctx context.Context, c Clients, namespace string) (string, error) {
	pools, err := storedPools(ctx, c.V1beta1, namespace)
	if err != nil {
		return "", err
	}
	if n := lag(&pools, s.pools, nil); n > 0 {
		return fmt.Sprintf("%d ipaddresspools", n), nil
	}
	namespaces, err := storedNamespaces(ctx, c.Builtin)
	if err != nil {
		return "", err
	}
	if n := lag(&namespaces, *s.namespaces, nil); n > 0 {
		return fmt.Sprintf("%d namespaces", n), nil
	}
	services, err := storedServices(ctx, c.Builtin)
	if err != nil {
		return "", err
	}
	if n := lag(&services, s.Services, holdsAddress); n > 0 {
		return fmt.Sprintf("%d services", n), nil
	}
	return "", nil
}

// holdsAddress says whether a copy keeps an address from others.
func holdsAddress(p *cluster.Packed) bool {
	return p.Addressed() && p.Unpack().Spec.Type == corev1.ServiceTypeLoadBalancer
}

// stamp is which version of which object something is.
type stamp struct {
	uid     types.UID
	version string
}

// identified is an object whose successor of the same name is another one.
type identified interface {
	object
	GetUID() types.UID
}

func stampOf(o identified) stamp { return stamp{o.GetUID(), o.GetResourceVersion()} }

// listing is what the API server has stored of a kind.
type listing struct {
	version string // as of which
	objects map[lb.Key]stamp
}

// lag counts the objects that the copies lack, or have in an older version, and the copies of
// objects that were gone when the list was made. Of the latter only those count for which counts
// says so; nil: all.
func lag[T identified](l *listing, copies Store[T], counts func(T) bool) (n int) {
	for k, now := range l.objects {
		seen, ok := copies.Get(k)
		if !ok || seen.GetUID() != now.uid || !notOlder(seen.GetResourceVersion(), now.version) {
			n++
		}
	}
	for _, seen := range copies.List() {
		_, exists := l.objects[keyOf(seen)]
		if !exists && !notOlder(seen.GetResourceVersion(), l.version) && (counts == nil || counts(seen)) {
			n++
		}
	}
	return n
}

// read adds the pages of a list. Without a resource version it is what etcd has, not what a cache
// has.
func (l *listing) read(o metav1.ListOptions, page func(metav1.ListOptions) (metav1.ListMeta, error)) error {
	l.objects = map[lb.Key]stamp{}
	o.Limit = catchUpPage
	for {
		got, err := page(o)
		if err != nil {
			return err
		}
		l.version = got.ResourceVersion
		if o.Continue = got.Continue; o.Continue == "" {
			return nil
		}
	}
}

func storedPools(ctx context.Context, client rest.Interface, namespace string) (l listing, err error) {
	err = l.read(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListMeta, error) {
		var page v1beta1.IPAddressPoolList
		err := client.Get().Namespace(namespace).Resource("ipaddresspools").
			VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Into(&page)
		for i := range page.Items {
			l.objects[keyOf(&page.Items[i])] = stampOf(&page.Items[i])
		}
		return page.ListMeta, wrapList("ipaddresspools", err)
	})
	return l, err
}

func storedNamespaces(ctx context.Context, client kubernetes.Interface) (l listing, err error) {
	err = l.read(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListMeta, error) {
		page, err := client.CoreV1().Namespaces().List(ctx, o)
		if err != nil {
			return metav1.ListMeta{}, wrapList("namespaces", err)
		}
		for i := range page.Items {
			l.objects[keyOf(&page.Items[i])] = stampOf(&page.Items[i])
		}
		return page.ListMeta, nil
	})
	return l, err
}

// storedServices lists those that have an address.
func storedServices(ctx context.Context, client kubernetes.Interface) (l listing, err error) {
	ours := fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()
	err = l.read(metav1.ListOptions{FieldSelector: ours}, func(o metav1.ListOptions) (metav1.ListMeta, error) {
		page, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, o)
		if err != nil {
			return metav1.ListMeta{}, wrapList("services", err)
		}
		for i := range page.Items {
			if now := &page.Items[i]; len(now.Status.LoadBalancer.Ingress) > 0 {
				l.objects[keyOf(now)] = stampOf(now)
			}
		}
		return page.ListMeta, nil
	})
	return l, err
}

func wrapList(kind string, err error) error {
	if err != nil {
		return fmt.Errorf("list %s: %w", kind, err)
	}
	return nil
}
