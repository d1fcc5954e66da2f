// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// clusterDNS is CoreDNS, and what it may read.
const clusterDNS = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: dns, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: story-dns}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: story-dns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: story-dns}
subjects: [{kind: ServiceAccount, name: dns, namespace: %[1]s}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: dns, namespace: %[1]s}
data:
  Corefile: |
    .:53 {
      errors
      kubernetes cluster.local
    }
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: %[1]s, labels: {app: dns}}
spec:
  serviceAccountName: dns
  nodeName: n1
  containers:
  - name: dns
    image: coredns
    args: [-conf, /etc/coredns/Corefile]
    ports: [{containerPort: 53, protocol: UDP}]
    volumeMounts: [{name: config, mountPath: /etc/coredns}]
  volumes: [{name: config, configMap: {name: dns}}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: %[1]s}
spec: {selector: {app: dns}, ports: [{port: 53, protocol: UDP}]}
---
`

// startDNS runs the DNS of the cluster in a namespace and returns the address of its Service.
func startDNS(t *testing.T, namespace string) (server string) {
	t.Helper()
	if _, err := lab.Run(t.Context(), "image", "coredns="+filepath.Join(lab.Root, "bin", "coredns")); err != nil {
		t.Fatal(err)
	}
	apply(t, fmt.Sprintf(clusterDNS, namespace))
	return kubectl(t, "-n", namespace, "get", "service", "dns", "-o", "jsonpath={.spec.clusterIP}")
}

// resolves waits until the DNS of the cluster answers a node with exactly these addresses.
func resolves(t *testing.T, server, node, name string, want ...string) {
	t.Helper()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialFrom(ctx, node, "udp", net.JoinHostPort(server, "53"))
	}}
	slices.Sort(want)
	eventually(t, func(ctx context.Context) error {
		got, err := r.LookupHost(ctx, name+".")
		slices.Sort(got)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("%s is %v, want %v", name, got, want)
		}
		return err
	})
}

// dialFrom opens a connection from a host of the lab. The address must be one of IP, for a name would
// be looked up elsewhere.
func dialFrom(ctx context.Context, host, network, address string) (net.Conn, error) {
	type dialed struct {
		net.Conn
		error
	}
	done := make(chan dialed, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine, in the host's namespace
		fd, err := unix.Open(filepath.Join("/run/netns", lab.Netns(host)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- dialed{error: err}
			return
		}
		defer func() { _ = unix.Close(fd) }() // only read
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- dialed{error: err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		done <- dialed{conn, err}
	}()
	d := <-done
	return d.Conn, d.error
}
