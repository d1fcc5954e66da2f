// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// web is two pods of the lab's base image behind an address. A pod that is to end goes on
// answering until the nodes have heard of it, as a well-made workload does.
const web = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: node, namespace: metallb-system}
spec: {addresses: [192.168.100.200-192.168.100.210]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: node, namespace: metallb-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 6
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: docker.io/lab/base:1
        imagePullPolicy: Never
        args: [httpd, -f, -p, "8080"]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

const target = "192.168.100.200:80"

// TestInstall goes the way of an installation: up, update, drain, gone. Each step needs the
// one before it.
func TestInstall(t *testing.T) {
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"one file installs it", install},
		{"processes have no rights but those they need", processesHaveOnlyTheirRights},
		{"a Service gets an address that answers", serviceAnswers},
		{"a rolling update loses nothing", rollingUpdateLosesNothing},
		{"a drained node goes and comes back", drain},
		{"a node that lost power comes back", powerCycle},
		{"uninstalling leaves nothing on a node", uninstall},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

func install(t *testing.T) {
	if err := lab.ApplyTree(t.Context(), built("manifests", "clarion.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := lab.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func serviceAnswers(t *testing.T) {
	if err := lab.Apply(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	addr, err := lab.Address(t.Context(), "default", "web", patience)
	if err != nil || addr+":80" != target {
		t.Fatalf("address %q: %v", addr, err)
	}
	// The address may be announced a moment before kube-proxy has its rules.
	err = labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
		out, err := lab.Exec(ctx, "client", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://"+target+"/")
		if err == nil && out != "404" {
			err = fmt.Errorf("the web server has no pages, want 404: %q", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// processesHaveOnlyTheirRights reads what the kernel says of them, not what the manifests do.
func processesHaveOnlyTheirRights(t *testing.T) {
	for _, tc := range []struct {
		program, uid, capabilities string
		count                      int
	}{
		{"controller", "65534", "0000000000000000", 2},
		{"speaker", "0", "0000000000002000", 2}, // CAP_NET_RAW is number 13
	} {
		var found []string
		err := labctl.Eventually(t.Context(), patience, func(context.Context) error {
			if found = processes(t, tc.program); len(found) != tc.count {
				return fmt.Errorf("%d processes of the %s, want %d", len(found), tc.program, tc.count)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range found {
			status := fields(t, filepath.Join(dir, "status"))
			for field, want := range map[string]string{
				"Uid": tc.uid, "CapEff": tc.capabilities, "CapPrm": tc.capabilities, "CapBnd": tc.capabilities, "NoNewPrivs": "1",
				"Seccomp": "2", // a filter: RuntimeDefault
			} {
				if got, _, _ := strings.Cut(status[field], "\t"); got != want {
					t.Errorf("%s: %s %s, want %s", tc.program, field, got, want)
				}
			}
			if options := rootMount(t, dir); !slices.Contains(strings.Split(options, ","), "ro") {
				t.Errorf("%s: its root is mounted %s, want read-only", tc.program, options)
			}
		}
	}
}

// processes returns the /proc directories of a program in the lab's containers.
func processes(t *testing.T, program string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		mounts, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(mounts, []byte("/clarion-lab/"+lab.Name+"/nodes/")) {
			continue // gone meanwhile, or not a container of this lab
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(f), "comm"))
		if err == nil && strings.TrimSpace(string(comm)) == program {
			out = append(out, filepath.Dir(f))
		}
	}
	return out
}

func fields(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		out[name] = strings.TrimSpace(value)
	}
	return out
}

// rootMount returns the options of the mount at / as a process sees it.
func rootMount(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/" {
			return f[5]
		}
	}
	t.Fatalf("%s: no mount at /", dir)
	return ""
}

func rollingUpdateLosesNothing(t *testing.T) {
	losesNothing(t, func() error {
		if _, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "rollout", "restart", "daemonset/speaker"); err != nil {
			return err
		}
		_, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=60s")
		return err
	})
}

func losesNothing(t *testing.T, event func() error) {
	t.Helper()
	// busybox's web server keeps few connections waiting. A machine so busy that even the
	// questions are late loses some there, which says nothing of the update.
	const late, tries = 30, 3
	for try := 1; ; try++ {
		o := watch(t, event)
		if o.Lost == 0 {
			return
		}
		if o.MaxSendDelayMS < late || try == tries {
			t.Fatalf("%d of %d connections lost, the longest gap %.0f ms", o.Lost, o.Sent, o.LongestGapMS)
		}
	}
}

func watch(t *testing.T, event func() error) labctl.Outage {
	t.Helper()
	o, err := lab.WatchBy(t.Context(), "tcp", target, 2*time.Second, event)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d connections lost, longest time without one %.0f ms; a question was late by at most %.0f ms",
		o.Lost, o.Sent, o.LongestGapMS, o.MaxSendDelayMS)
	return o
}

// drain takes all Pods but those of DaemonSets off a node; the speaker there goes on
// announcing, and the controller's second replica goes on assigning.
func drain(t *testing.T) {
	o := watch(t, func() error {
		done := make(chan error, 1)
		go func() {
			_, err := lab.Kubectl(t.Context(), "drain", "n1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
			done <- err
		}()
		return errors.Join(assigns(t, done), <-done)
	})
	// Some connections may meet a web server that has just ended; the address goes on.
	if o.LongestGapMS > 1000 {
		t.Errorf("no answer for %.0f ms", o.LongestGapMS)
	}
	if pods := kubectl(t, "get", "pods", "-A", "--field-selector", "spec.nodeName=n1", "-o", "name"); strings.TrimSpace(pods) == "" || strings.Count(pods, "pod/") != 1 {
		t.Errorf("only the speaker stays on a drained node: %s", pods)
	}
	kubectl(t, "uncordon", "n1")
}

// assigns makes Services, one after the other has its address, until something is done.
func assigns(t *testing.T, done chan error) error {
	t.Helper()
	for n := 1; ; n++ {
		name := fmt.Sprintf("late-%d", n)
		if _, err := lab.Kubectl(t.Context(), "create", "service", "loadbalancer", name, "--tcp=80"); err != nil {
			return err
		}
		begin := time.Now()
		_, err := lab.Address(t.Context(), "default", name, patience)
		t.Logf("a Service that was made during the drain had its address after %d ms", time.Since(begin).Milliseconds())
		kubectl(t, "delete", "service", name)
		if err != nil || len(done) > 0 {
			return err
		}
	}
}

func powerCycle(t *testing.T) {
	if err := lab.Fault(t.Context(), "power-off", "n1"); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, "speaker"); len(left) != 1 {
		t.Errorf("%d speakers run after one of two nodes lost power", len(left))
	}
	if err := lab.Fault(t.Context(), "power-on", "n1"); err != nil {
		t.Fatal(err)
	}
	err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
		if n := len(processes(t, "speaker")); n != 2 {
			return fmt.Errorf("%d speakers run, want 2", n)
		}
		return lab.Ready(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// uninstall does what docs/install.md says, then compares the nodes with those before.
func uninstall(t *testing.T) {
	kubectl(t, "delete", "service,deployment", "web")
	kubectl(t, "delete", "-f", built("manifests", "clarion.yaml"), "--timeout=60s")
	asBefore(t)
	if out := kubectl(t, "get", "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy", "-o", "name"); strings.Contains(out, "metallb") {
		t.Errorf("left in the cluster:\n%s", out)
	}
}

// asBefore waits until the nodes are as they were before Clarion came.
func asBefore(t *testing.T) {
	t.Helper()
	err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
		left := append(processes(t, "speaker"), processes(t, "controller")...)
		if len(left) > 0 {
			return fmt.Errorf("%d processes still run", len(left))
		}
		after, err := traces(context.WithoutCancel(ctx)) // the last one tells what is left
		if err == nil && !maps.Equal(after, bare) {
			err = fmt.Errorf("before:\n%s\nafter:\n%s", bare, after)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// inspect prints what a program can leave behind. The links of pods are not looked at, because
// their addresses are by chance; nor is containerd, whose port is, and the table of kube-proxy,
// which has the cluster's Services.
const inspect = `
ip -o addr show | grep -v -e veth -e pods0 | awk '{print $2, $4}'
ip rule
ip -6 rule
{ ip route show table all; ip -6 route show table all; } | grep -v -e veth -e pods0 | sort
ip maddr show dev eth0 | grep -v users
nft --stateless list ruleset | awk '/^table/ {skip = /kube-proxy/} !skip'
ss -Hlntup | grep -v containerd | awk '{print $1, $5}' | sort
ss -Hlnp0 | wc -l
`

// traces is what a program can leave on a node's network besides its processes, per node.
func traces(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, n := range nodes() {
		text, err := lab.Exec(ctx, n, "sh", "-c", inspect)
		if err != nil {
			return nil, err
		}
		out[n] = text
	}
	return out, nil
}
