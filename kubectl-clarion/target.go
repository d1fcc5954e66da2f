// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/internal/kube"
)

// defaultNamespace is where Clarion is installed, and where its objects are.
const defaultNamespace = "metallb-system"

// target is the cluster that a verb works on, by kubectl's flags and kubeconfig files.
type target struct {
	loading   *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

func newTarget(flags *pflag.FlagSet) *target {
	t := &target{loading: clientcmd.NewDefaultClientConfigLoadingRules()}
	flags.StringVar(&t.loading.ExplicitPath, "kubeconfig", "", "path to the kubeconfig file")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ContextOverrideFlags.Namespace.Description = "namespace of Clarion (default " + defaultNamespace + ")"
	clientcmd.BindOverrideFlags(&t.overrides, flags, names)
	return t
}

// namespace is that of the flag. A context's own is where the user works, and not Clarion's.
func (t *target) namespace() string {
	return cmp.Or(t.overrides.Context.Namespace, defaultNamespace)
}

func (t *target) connect() (kube.Clients, error) {
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(t.loading, &t.overrides).ClientConfig()
	if err != nil {
		return kube.Clients{}, fmt.Errorf("read kubeconfig: %w", err)
	}
	return kube.ConnectTo(cfg, "kubectl-clarion/"+version)
}

// pollPeriod is how often a verb that waits looks.
const pollPeriod = 300 * time.Millisecond

// poll calls done until it says true, fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		ok, err := done()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
