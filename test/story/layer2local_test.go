// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestA6TrafficPolicyLocal announces only from nodes with a ready pod, which see the client.
func TestA6TrafficPolicyLocal(t *testing.T) {
	for _, f := range stacks(30) {
		t.Run(f.name, func(t *testing.T) {
			ns := namespace(t)
			addrs := f.start(t, ns, 1, "externalTrafficPolicy: Local")
			check := func() {
				t.Helper()
				eventually(t, func(ctx context.Context) error { return byItsPod(ctx, t, ns, addrs) })
			}
			check()
			// The pod goes, another comes, perhaps elsewhere: the announcement follows it.
			kubectl(t, "-n", ns, "delete", "pods", "-l", "app=web", "--wait=true")
			check()
			scale(t, ns, 0)
			for _, addr := range addrs {
				silent(t, addr)
			}
			healthOfNodes(t, ns, addrs, nil)
		})
	}
}

// byItsPod checks that the node of the only pod announces, that the pod sees the client, and that
// the node's health check says the same.
func byItsPod(ctx context.Context, t *testing.T, ns string, addrs []string) error {
	t.Helper()
	running := pods(t, ns)
	if len(running) != 1 {
		return fmt.Errorf("pods %v, want one", running)
	}
	for pod, node := range running {
		for _, addr := range addrs {
			now, err := lab.Owner(ctx, addr, patience)
			if err != nil {
				return err
			}
			if now != node {
				return fmt.Errorf("%s announces %s, its pod is on %s", now, addr, node)
			}
			page, err := get(ctx, "client", net.JoinHostPort(addr, "8080"))
			if err != nil {
				return err
			}
			client := "192.168.100.3"
			if strings.Contains(addr, ":") {
				client = "fd00:100::3"
			}
			if !strings.Contains(page, pod) || !strings.Contains(page, client) {
				return fmt.Errorf("the page is %q, want pod %s and client %s in it", page, pod, client)
			}
		}
		healthOfNodes(t, ns, addrs, []string{node})
	}
	return nil
}

// healthOfNodes asks the health-check node port of every node, by the families that the Service
// has; those named must say yes.
func healthOfNodes(t *testing.T, ns string, addrs, healthy []string) {
	t.Helper()
	port := kubectl(t, "-n", ns, "get", "service", "web", "-o", "jsonpath={.spec.healthCheckNodePort}")
	for i, node := range []string{"n1", "n2", "n3"} {
		want := http.StatusServiceUnavailable
		if slices.Contains(healthy, node) {
			want = http.StatusOK
		}
		for _, addr := range addrs {
			host := fmt.Sprintf("192.168.100.%d", 11+i)
			if strings.Contains(addr, ":") {
				host = fmt.Sprintf("fd00:100::%x", 11+i)
			}
			url := "http://" + net.JoinHostPort(host, port) + "/healthz"
			eventually(t, func(ctx context.Context) error {
				code, err := lab.Exec(ctx, "client", "curl", "--silent", "--output", "/dev/null", "--max-time", "2", "--write-out", "%{http_code}", url)
				if err == nil && code != fmt.Sprint(want) {
					err = fmt.Errorf("health check of %s says %s, want %d", node, code, want)
				}
				return err
			})
		}
	}
}
