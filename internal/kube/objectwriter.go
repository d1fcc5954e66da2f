// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// objectGap is the least time between the writes of two objects: every node has one for each
// Service, and together they could keep the API server busy.
const objectGap = 5 * time.Millisecond

// objectWriter keeps the status objects of one kind that this node writes. It looks at those with
// the node's label only, so that a speaker does not watch what all the others write.
type objectWriter[T cluster.Object] struct {
	statusRounds
	meta   metav1.ObjectMeta // namespace and label of all objects
	stored Store[T]
	same   func(a, b T) bool // compares what is reported

	mu     sync.Mutex
	wanted iter.Seq[T] // nil while nothing is known
}

// objectKind is where the status objects of one kind are.
type objectKind struct {
	client              rest.Interface
	namespace, resource string // plural, lower case
}

func (k objectKind) request(r *rest.Request) *rest.Request {
	return r.Namespace(k.namespace).Resource(k.resource)
}

// newObjectWriter returns a writer of objects of the node in the namespace, owned by this
// speaker's Pod, that wants nothing yet.
func newObjectWriter[T cluster.Object](w *Watcher, client rest.Interface, resource string, o Reporter, example T, same func(a, b T) bool) (*objectWriter[T], error) {
	out := &objectWriter[T]{
		statusRounds: statusRounds{o.Log, objectKind{client, o.Namespace, resource}, o.Owner, make(chan struct{}, 1)}, same: same,
		meta: metav1.ObjectMeta{
			Namespace: o.Namespace, Labels: map[string]string{labelStatusNode: o.Node},
		},
	}
	stored, err := Watch(w, Source[T]{
		Client: client, Resource: resource, Namespace: o.Namespace, Labels: labelStatusNode + "=" + o.Node,
		Example: example, Strip: stripReported[T](),
		Same: sameOwner[T], Kick: func() { wake(out.wake) }, Output: true,
	})
	out.stored = stored
	return out, err
}

// sameOwner says that a change of a status object needs no answer. They are an output, and mostly it is
// our own writing that changes them; but one that somebody deletes is written again, and one that
// belongs to nobody, as after a restore from a backup, would outlive the speaker.
func sameOwner[T cluster.Object](a, b T) bool {
	return reflect.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences())
}

// Reporter is the speaker that reports.
type Reporter struct {
	Log             *slog.Logger
	Namespace, Node string
	Owner           *Owner // its Pod
}

// metaOf is the identity of one object.
func (w *objectWriter[T]) metaOf(name string, labels map[string]string) metav1.ObjectMeta {
	out := *w.meta.DeepCopy()
	out.Name = name
	for k, v := range labels {
		out.Labels[k] = v
	}
	return out
}

// set says which objects shall exist from now on. They are made when it is time to write, and one
// after the other: thousands at a time would be a fifth of the speaker's memory.
func (w *objectWriter[T]) set(wanted iter.Seq[T]) {
	w.mu.Lock()
	w.wanted = wanted
	w.mu.Unlock()
	wake(w.wake)
}

// Run writes until ctx ends.
func (w *objectWriter[T]) Run(ctx context.Context) error { return w.run(ctx, w.round) }

// round makes the stored objects the wanted ones. Nothing is deleted before they are known.
func (w *objectWriter[T]) round(ctx context.Context) error {
	w.mu.Lock()
	wanted := w.wanted
	w.mu.Unlock()
	if wanted == nil || !w.stored.Synced() {
		return nil
	}
	stored := map[string]T{}
	for _, s := range w.stored.List() {
		stored[s.GetName()] = s
	}
	var failed failures
	var refused bool // the others would be, too; what nobody wants is deleted all the same
	for o := range wanted {
		o.SetOwnerReferences(w.owner.references)
		s, exists := stored[o.GetName()]
		delete(stored, o.GetName())
		if refused || exists && w.same(s, o) && reflect.DeepEqual(s.GetOwnerReferences(), o.GetOwnerReferences()) {
			continue
		}
		refused = failed.add(putObject(ctx, w.kind, o, s, exists)) || failed.add(daemon.Sleep(ctx, objectGap))
	}
	for name := range stored {
		if failed.add(deleteObject(ctx, w.kind, name)) {
			break
		}
	}
	return failed.err()
}

// putObject makes one status object right. Status is a subresource, so that takes two requests for a
// new object, for one whose owner was the Pod before this one, and for one that is not among the
// copies because somebody took the label away by which they are read.
func putObject[T cluster.Object](ctx context.Context, k objectKind, want, stored T, exists bool) error {
	name := want.GetName()
	if !exists {
		stored, _ = want.DeepCopyObject().(T)
		err := k.request(k.client.Post()).Body(want).Do(ctx).Into(stored)
		if apierrors.IsAlreadyExists(err) {
			stored.SetLabels(nil) // what the answer lacks would stay as it is sent
			stored.SetOwnerReferences(nil)
			err = k.request(k.client.Get()).Name(name).Do(ctx).Into(stored)
		}
		if err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	out, _ := want.DeepCopyObject().(T)
	out.SetResourceVersion(stored.GetResourceVersion())
	out.SetLabels(withLabels(stored.GetLabels(), want.GetLabels()))
	unlabelled := !exists && !maps.Equal(out.GetLabels(), stored.GetLabels()) // copies have none
	if unlabelled || !reflect.DeepEqual(stored.GetOwnerReferences(), want.GetOwnerReferences()) {
		answer, _ := want.DeepCopyObject().(T)
		err := k.request(k.client.Put()).Name(name).Body(out).Do(ctx).Into(answer)
		switch {
		case apierrors.IsNotFound(err) && exists: // what belongs to the Pod before goes with it
			return putObject(ctx, k, want, stored, false)
		case err != nil:
			return ignoreConflict(fmt.Errorf("update owner and labels of %s: %w", name, err))
		}
		out.SetResourceVersion(answer.GetResourceVersion())
	}
	if err := k.request(k.client.Put()).Name(name).SubResource("status").Body(out).Do(ctx).Error(); err != nil {
		return ignoreConflict(fmt.Errorf("update status of %s: %w", name, err))
	}
	return nil
}

// withLabels returns labels with others added: what somebody else has put there stays.
func withLabels(stored, own map[string]string) map[string]string {
	out := maps.Clone(stored)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, own)
	return out
}

// deleteObject deletes one, which may be gone already.
func deleteObject(ctx context.Context, k objectKind, name string) error {
	err := k.request(k.client.Delete()).Name(name).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// ignoreConflict drops the error that says that our own copy is old: it will be right soon.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}
