// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package kubelet is the lab's hollow kubelet: it registers its node and keeps
// it Ready, gives every pod bound to the node an address, and either has the
// pod played by the workload process or, where an image stands for a program
// on this machine, runs that program much as a real kubelet would: with the
// pod's service account token, volumes, environment, user and capabilities.
// The decisions are in package pod; this package does what they say.
//
// It has the identity of a real kubelet and may do no more than one. Left out:
// init containers, exec probes, images, cgroups and resource limits.
package kubelet

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/lab/internal/state"
)

// Port is where the kubelet serves container logs to the API server.
const Port = 10250

// Main runs a kubelet until SIGTERM. Pods go on running, as on a real node.
func Main() int {
	fs := flag.NewFlagSet("kubelet", flag.ContinueOnError)
	dir := fs.String("state-dir", "", "the lab's state directory")
	node := fs.String("node", "", "the node's name")
	if err := fs.Parse(os.Args[1:]); err != nil {
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, state.At(*dir), *node, log); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("kubelet ended", "err", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, d state.Dir, node string, log *slog.Logger) error {
	k, err := newKubelet(d, node, log)
	if err != nil {
		return err
	}
	errs := make(chan error, 3)
	go func() { errs <- k.nodes.run(ctx) }()
	go func() { errs <- k.serveLogs(ctx) }()
	go func() { errs <- k.run(ctx) }()
	return <-errs
}

// client returns a client with the node's own identity. A timeout is for
// requests that must not hang while the node is cut off; a watch has none.
func client(d state.Dir, node string, timeout time.Duration) (kubernetes.Interface, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", d.Path("kube", node))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	rc.QPS, rc.Timeout = -1, timeout
	c, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}
