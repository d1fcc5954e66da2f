// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// release is the name of the release, which names its objects; namespace is not the usual one,
// so that whatever does not follow it is found.
const (
	releaseName = "lb"
	namespace   = "load-balancing"
)

// limit is how long each of Helm's verbs may take, waiting until everything is Ready.
const limit = 90 * time.Second

const pools = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: load-balancing}
spec: {addresses: [192.168.101.10-192.168.101.20]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: l2, namespace: load-balancing}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, loadBalancerClass: example.com/lb, selector: {app: web}, ports: [{port: 80}]}
`

// TestOnACluster installs in both ways on one lab cluster, one after the other.
func TestOnACluster(t *testing.T) {
	lab := start(t)
	t.Run("Helm", func(t *testing.T) { helm(t, lab) })
	t.Run("Manifest", func(t *testing.T) { manifest(t, lab) })
}

// manifest applies the single file of `make manifests` once, as the documentation says,
// on a cluster without the CRDs that Helm has left, and deletes it.
func manifest(t *testing.T, lab labctl.Lab) {
	file := filepath.Join(lab.Root, "dist", "manifests", "clarion.yaml")
	crds, err := lab.Kubectl(t.Context(), "get", "crds", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Kubectl(t.Context(), append([]string{"delete", "--wait"}, strings.Fields(crds)...)...); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatal(err)
	}
	if err := lab.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Kubectl(t.Context(), "delete", "--timeout=60s", "-f", file); err != nil {
		t.Fatal(err)
	}
}

// helm does to a cluster what `helm install`, `helm upgrade` and `helm uninstall` do, and installs
// again over the CRDs that stayed. The programs run with the accounts and privileges that the
// chart gives them.
func helm(t *testing.T, lab labctl.Lab) {
	config := configuration(t, lab)
	install(t, lab, config)
	if err := lab.Apply(t.Context(), pools); err != nil {
		t.Fatal(err)
	}
	address, err := lab.Address(t.Context(), "default", "web", 20*time.Second)
	if err != nil {
		t.Fatal(err, logs(t, lab))
	}

	upgrade := action.NewUpgrade(config)
	upgrade.Namespace, upgrade.Wait, upgrade.Timeout = namespace, true, limit
	r, err := upgrade.Run(releaseName, load(t), values(t, "loadBalancerClass: example.com/lb\ncontroller: {replicas: 1, podDisruptionBudget: {enabled: true}}\nnetworkpolicies: {enabled: true}\npriorityClass: {create: true}"))
	if err != nil {
		t.Fatal(err, logs(t, lab))
	}
	if r.Info.Status != release.StatusDeployed || r.Version != 2 {
		t.Errorf("after the upgrade: %s, version %d", r.Info.Status, r.Version)
	}
	if again, err := lab.Address(t.Context(), "default", "web", 20*time.Second); err != nil || again != address {
		t.Errorf("the address was %s and is %s after the upgrade (%v)", address, again, err)
	}

	uninstall(t, config)
	checkLeftovers(t, lab)

	install(t, lab, config)
	if again, err := lab.Address(t.Context(), "default", "web", 20*time.Second); err != nil || again != address {
		t.Errorf("the address was %s and is %s after installing again (%v)", address, again, err)
	}
	uninstall(t, config)
}

func install(t *testing.T, lab labctl.Lab, config *action.Configuration) {
	t.Helper()
	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = releaseName, namespace, true
	install.Wait, install.Timeout = true, limit
	if _, err := install.Run(load(t), values(t, "loadBalancerClass: example.com/lb")); err != nil {
		t.Fatal(err, logs(t, lab))
	}
}

func uninstall(t *testing.T, config *action.Configuration) {
	t.Helper()
	uninstall := action.NewUninstall(config)
	uninstall.Wait, uninstall.Timeout = true, limit
	if _, err := uninstall.Run(releaseName); err != nil {
		t.Fatal(err)
	}
}

// checkLeftovers: the configuration and its kinds stay, and the Lease, as docs/install.md says;
// everything else of the release is gone, what the programs made included.
func checkLeftovers(t *testing.T, lab labctl.Lab) {
	t.Helper()
	checkStatusObjects(t, lab)
	out, err := lab.Kubectl(t.Context(), "get", "ipaddresspools,l2advertisements", "-A", "-o", "name")
	if err != nil || len(strings.Fields(out)) != 2 {
		t.Errorf("the configuration after uninstalling: %q %v", out, err)
	}
	kinds := "services,secrets,deployments,daemonsets,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings," +
		"networkpolicies,poddisruptionbudgets,priorityclasses,validatingadmissionpolicies,validatingadmissionpolicybindings"
	out, err = lab.Kubectl(t.Context(), "get", kinds, "-A", "-l", "app.kubernetes.io/instance="+releaseName, "-o", "name")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("left behind: %q %v", out, err)
	}
	out, err = lab.Kubectl(t.Context(), "get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-o", "name")
	if err != nil || strings.Contains(out, "metallb.io") {
		t.Errorf("policies left behind: %q %v", out, err)
	}
	out, err = lab.Kubectl(t.Context(), "-n", namespace, "get", "secrets", "-o", "name")
	if err != nil || strings.Contains(out, "memberlist") {
		t.Errorf("secrets left behind: %q %v", out, err)
	}
}

// checkStatusObjects waits for the garbage collector, which deletes them after their owners. The
// Lease has no owner.
func checkStatusObjects(t *testing.T, lab labctl.Lab) {
	t.Helper()
	err := labctl.Eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "servicel2statuses,servicebgpstatuses,bgpsessionstates,configurationstates", "-A", "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("status objects left behind: %q", out)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	out, err := lab.Kubectl(t.Context(), "-n", namespace, "get", "leases", "-o", "name")
	if want := "lease.coordination.k8s.io/clarion-controller"; err != nil || strings.TrimSpace(out) != want {
		t.Errorf("of Leases %q is left, want %s (%v)", out, want, err)
	}
}

// start brings up a lab cluster without Clarion, of which the chart's test is the only user.
func start(t *testing.T) labctl.Lab {
	t.Helper()
	lab, err := labctl.Open("chart", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(lab.Root, "bin")
	down, err := lab.Fresh(t.Context(), labctl.Options{
		Nodes: 2, Controller: filepath.Join(bin, "controller"), Speaker: filepath.Join(bin, "speaker"), RestartDelay: "1s",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := down(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

func configuration(t *testing.T, lab labctl.Lab) *action.Configuration {
	t.Helper()
	kubeconfig, err := lab.Kubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settings := cli.New()
	settings.KubeConfig = kubeconfig
	settings.SetNamespace(namespace)
	config := new(action.Configuration)
	if err := config.Init(settings.RESTClientGetter(), namespace, "secret", t.Logf); err != nil {
		t.Fatal(err)
	}
	return config
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// logs tells what the Pods say when they do not become Ready.
func logs(t *testing.T, lab labctl.Lab) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	pods, _ := lab.Kubectl(ctx, "-n", namespace, "get", "pods", "-o", "wide")
	text, _ := lab.Kubectl(ctx, "-n", namespace, "logs", "-l", "app.kubernetes.io/name=metallb", "--tail=20", "--prefix")
	return "\n" + pods + text
}
