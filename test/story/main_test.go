// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// patience is how long a story waits for something that should take a moment. It is no
// measurement: where a time matters, the story measures it and says so.
const patience = 20 * time.Second

// lab is the cluster of all stories in this package; TestMain brings it up once.
var lab labctl.Lab

func TestMain(m *testing.M) { labctl.Main(m.Run, withLab) }

func withLab(run func() int) (code int, err error) {
	ctx := context.Background()
	if lab, err = labctl.Open("story", os.Stderr); err != nil {
		return 1, err
	}
	rights, err := newRights()
	if err != nil {
		return 1, err
	}
	defer rights.close()
	down, err := lab.Fresh(ctx, labctl.Options{
		Nodes: 3, IPFamily: "dual", ExtraArgs: rights.args(),
		Controller: filepath.Join(lab.Root, "bin", "controller"), Speaker: filepath.Join(lab.Root, "bin", "speaker"),
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, down()) }()
	if err := lab.Install(ctx); err != nil {
		for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"-n", labctl.Namespace, "logs", "deployment/controller", "--tail=30"}} {
			out, logErr := lab.Kubectl(ctx, args...)
			fmt.Fprintln(os.Stderr, out, logErr)
		}
		return 1, err
	}
	code = run()
	// What no failed or omitted story did may still be needed.
	whole := code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if err := rights.check(ctx, whole); err != nil {
		return 1, err
	}
	return code, nil
}

// namespace makes a namespace of the story's own and removes it, and all in it, afterwards.
func namespace(t *testing.T) string {
	t.Helper()
	return namespaceFor(t, t.Name())
}

// namespaceFor is namespace for a story that needs a second one, by a name like that of a test.
func namespaceFor(t *testing.T, name string) string {
	t.Helper()
	name = strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(name))
	name = name[:min(len(name), 50)]
	kubectl(t, "create", "namespace", name)
	t.Cleanup(func() { kubectl(t, "delete", "namespace", name, "--wait=false") })
	return name
}

// apply applies manifests and deletes what they made afterwards.
func apply(t *testing.T, manifests string) {
	t.Helper()
	if err := lab.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := lab.RunInput(context.Background(), manifests, "kubectl", "--", "delete", "--ignore-not-found", "-f", "-")
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// create makes objects that vanish with the story's namespace.
func create(t *testing.T, manifests string) {
	t.Helper()
	if _, err := lab.RunInput(t.Context(), manifests, "kubectl", "--", "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// kubectl also works in cleanups, when the test's own context has ended.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := lab.Kubectl(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits for something to become true.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), patience, check); err != nil {
		t.Fatal(err)
	}
}

// contains waits until a kubectl command prints a text.
func contains(t *testing.T, want string, args ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, args...)
		if err != nil {
			return err
		}
		if !strings.Contains(out, want) {
			return fmt.Errorf("kubectl %s prints %q, want %q in it", strings.Join(args, " "), out, want)
		}
		return nil
	})
}

func address(t *testing.T, namespace, service string) string {
	t.Helper()
	addr, err := lab.Address(t.Context(), namespace, service, patience)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// pool returns an IPAddressPool and an L2Advertisement of the same name for it alone.
func pool(name string, addresses ...string) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: %[1]s, namespace: metallb-system}
spec: {autoAssign: false, addresses: ["%[2]s"]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: %[1]s, namespace: metallb-system}
spec: {ipAddressPools: [%[1]s]}
---
`, name, strings.Join(addresses, `", "`))
}

// webServer returns a Deployment of web servers.
func webServer(namespace, name string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      containers:
      - name: web
        image: nginx
        ports:
        - {containerPort: 80}
        - {containerPort: 80, protocol: UDP}
---
`, namespace, name, replicas)
}

// serviceFor returns a Service of type LoadBalancer, TCP 8090 and UDP 8090 to port 80, with
// an address from a pool and more annotations, each "key: value".
func serviceFor(namespace, name, app, pool string, annotations ...string) string {
	lines := append([]string{"metallb.io/address-pool: " + pool}, annotations...)
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %[2]s
  namespace: %[1]s
  annotations:
    %[4]s
spec:
  type: LoadBalancer
  selector: {app: %[3]s}
  ports:
  - {name: web, port: 8090, targetPort: 80}
  - {name: echo, port: 8090, targetPort: 80, protocol: UDP}
---
`, namespace, name, app, strings.Join(lines, "\n    "))
}

// get fetches a page from the client host.
func get(ctx context.Context, host, hostPort string) (string, error) {
	return lab.Exec(ctx, host, "curl", "--silent", "--show-error", "--fail", "--max-time", "2", "http://"+hostPort)
}
