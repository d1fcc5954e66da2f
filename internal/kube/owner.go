// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// Owner is the Pod that this program runs in, so that the status objects it writes vanish with
// it. It is read in the background: a program that started while the API server is away does
// what it can without, and only the writers, which need the API server anyway, wait.
type Owner struct {
	log            *slog.Logger
	client         kubernetes.Interface
	namespace, pod string

	known      chan struct{}
	references []metav1.OwnerReference // once known is closed
}

// NewOwner returns an Owner that Run has yet to read. With no pod name there is none to read, and
// objects get no owner.
func NewOwner(log *slog.Logger, client kubernetes.Interface, namespace, pod string) *Owner {
	if pod == "" {
		return ownedBy(nil)
	}
	return &Owner{log: log, client: client, namespace: namespace, pod: pod, known: make(chan struct{})}
}

// ownedBy is an Owner that is known.
func ownedBy(references []metav1.OwnerReference) *Owner {
	o := &Owner{known: make(chan struct{}), references: references}
	close(o.known)
	return o
}

// Run reads the Pod as soon as that is possible. It returns when ctx ends.
func (o *Owner) Run(ctx context.Context) error {
	return persist(ctx, o.read, func(err error) {
		o.log.Warn("read own pod; status objects wait for it", "namespace", o.namespace, "pod", o.pod, "error", err)
	})
}

func (o *Owner) read(ctx context.Context) error {
	if o.isKnown() {
		return nil
	}
	p, err := o.client.CoreV1().Pods(o.namespace).Get(ctx, o.pod, metav1.GetOptions{})
	if err != nil {
		return err
	}
	o.references = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID}}
	close(o.known)
	return nil
}

// persistPause is between attempts.
const persistPause = 2 * time.Second

// persist does something once, as soon as the API server lets it, and returns when ctx ends. The
// first failure is told.
func persist(ctx context.Context, do func(context.Context) error, tell func(error)) error {
	for told := false; ; told = true {
		err := do(ctx)
		if err == nil {
			break
		}
		if !told && ctx.Err() == nil {
			tell(err)
		}
		if daemon.Sleep(ctx, persistPause) != nil {
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

func (o *Owner) isKnown() bool {
	select {
	case <-o.known:
		return true
	default:
		return false
	}
}

// wait returns an error when ctx ends before the Pod is known.
func (o *Owner) wait(ctx context.Context) error {
	select {
	case <-o.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
