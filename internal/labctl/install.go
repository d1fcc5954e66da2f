// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Namespace is where Clarion is installed, the same as MetalLB's.
const Namespace = "metallb-system"

// Install applies config/native and returns when controller and speakers are Ready.
func (l Lab) Install(ctx context.Context) error {
	if err := l.ApplyTree(ctx, filepath.Join(l.Root, "config", "native")); err != nil {
		return err
	}
	return l.Ready(ctx)
}

// ApplyTree applies a kustomize folder or a manifest file. Objects whose CRD comes in the
// same file need it to be served first, which one apply cannot wait for; applying again is
// what an operator would do, too.
func (l Lab) ApplyTree(ctx context.Context, path string) error {
	how := "-f"
	if st, err := os.Stat(path); err != nil {
		return fmt.Errorf("install: %w", err)
	} else if st.IsDir() {
		how = "-k"
	}
	if err := Eventually(ctx, 20*time.Second, func(ctx context.Context) error {
		_, err := l.Kubectl(ctx, "apply", how, path)
		return err
	}); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

// Ready waits until controller and speakers are.
func (l Lab) Ready(ctx context.Context) error {
	for _, what := range []string{"deployment/controller", "daemonset/speaker"} {
		if _, err := l.Kubectl(ctx, "-n", Namespace, "rollout", "status", what, "--timeout=60s"); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
	return nil
}

// Eventually calls check until it returns nil. When the time is up it returns what check said last, and
// not what became of a check in the middle of which that happened.
func Eventually(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const between = 50 * time.Millisecond
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, last)
		case <-time.After(between):
		}
	}
}

// Address waits until a Service has an external address and returns the first.
func (l Lab) Address(ctx context.Context, namespace, service string, limit time.Duration) (string, error) {
	var addr string
	err := Eventually(ctx, limit, func(ctx context.Context) error {
		out, err := l.Kubectl(ctx, "-n", namespace, "get", "service", service,
			"-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if err != nil {
			return err
		}
		if addr = strings.TrimSpace(out); addr == "" {
			return fmt.Errorf("service %s/%s has no external address", namespace, service)
		}
		return nil
	})
	return addr, err
}

// Owner asks for an address from the client host and returns the node whose hardware address
// answers: what a client sees, whatever any status says.
func (l Lab) Owner(ctx context.Context, addr string, limit time.Duration) (string, error) {
	nodes, err := l.hardwareAddresses(ctx)
	if err != nil {
		return "", err
	}
	var node string
	err = Eventually(ctx, limit, func(ctx context.Context) error {
		// Forget what was learnt, make the kernel ask, and look at the answer.
		script := "ip neigh flush to " + addr + "; ping -c 1 -W 0.3 " + addr + " >/dev/null 2>&1; ip neigh show to " + addr
		out, err := l.Exec(ctx, "client", "sh", "-c", script)
		if err != nil {
			return err
		}
		_, after, found := strings.Cut(out, "lladdr ")
		mac := strings.Fields(after + " -")[0]
		if node = nodes[mac]; !found || node == "" {
			return fmt.Errorf("nobody answers for %s: %q", addr, strings.TrimSpace(out))
		}
		return nil
	})
	return node, err
}

// hardwareAddresses maps the address of each node's interface on the LAN to its name. A node
// that is powered off has none.
func (l Lab) hardwareAddresses(ctx context.Context) (map[string]string, error) {
	out, err := l.Kubectl(ctx, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return nil, err
	}
	macs := map[string]string{}
	for _, node := range strings.Fields(out) {
		mac, err := l.Exec(ctx, node, "cat", "/sys/class/net/eth0/address")
		if err == nil {
			macs[strings.TrimSpace(mac)] = node
		}
	}
	return macs, nil
}
