// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFromManifests upgrades an installation by MetalLB's manifests, and goes back.
func TestFromManifests(t *testing.T) {
	c := start(t)
	c.apply(t, read(t, "metallb/crds.yaml"))
	c.apply(t, read(t, "metallb/manifests.yaml"))
	// Its controller makes the Secret that its speakers wait for.
	c.leaveAfter(t, "memberlist", "controller", "speaker")
	c.leaveFRR(t)
	c.apply(t, read(t, "metallb/frr-k8s.yaml"))
	c.apply(t, read(t, "metallb/webhooks.yaml"))
	c.write(t, "clarion.yaml", c.kubectl(t, "kustomize", filepath.Join(c.Root, "config", "native")), 0o600)
	c.write(t, "metallb-native.yaml",
		strings.Join([]string{read(t, "metallb/crds.yaml"), read(t, "metallb/manifests.yaml"), read(t, "metallb/webhooks.yaml")}, "---\n"), 0o600)

	l := c.follow(t)
	c.must(t, before)
	c.blocked(t)
	c.must(t, webhooks)
	c.must(t, passwords)
	c.must(t, stop)
	c.must(t, install)
	c.measure(t, func() error { return c.do(t, replace) })
	c.must(t, cleanUp)
	c.must(t, removeFRR)
	c.works(t)
	l.unchanged(t, "old")
	c.newService(t)

	c.kubectl(t, "-n", apps, "delete", "service", "new")
	c.must(t, back)
	c.kubectl(t, "-n", system, "rollout", "status", "daemonset/speaker", "--timeout=60s")
	c.kubectl(t, "-n", system, "rollout", "status", "deployment/controller", "--timeout=60s")
	if out := c.kubectl(t, "get", "crd", "bgppeers.metallb.io", "-o", "jsonpath={.spec.conversion.strategy}"); out != "Webhook" {
		t.Errorf("after going back BGPPeers are converted by %s", out)
	}
	l.unchanged(t, "old")
}

// TestFromChart upgrades a release of MetalLB's chart.
func TestFromChart(t *testing.T) {
	c := start(t)
	c.helm(t)
	chart := filepath.Join(c.dir, "metallb-chart")
	if err := os.CopyFS(chart, os.DirFS("testdata/chart")); err != nil {
		t.Fatal(err)
	}
	templates := filepath.Join("metallb-chart", "templates")
	c.write(t, filepath.Join(templates, "crds.yaml"), read(t, "metallb/crds.yaml"), 0o600)
	for _, late := range []string{"webhooks.yaml", "frr-k8s.yaml"} {
		c.write(t, filepath.Join(templates, late), "", 0o600)
	}
	c.run(t, "helm -n metallb-system install metallb ./metallb-chart --create-namespace --set speaker.logLevel=debug "+
		"--set controller.image.repository=quay.io/metallb/controller --set controller.image.tag=v0.15.2 --set speaker.image.tag=v0.15.2")
	c.leaveAfter(t, "metallb-memberlist", "metallb-controller", "metallb-speaker")
	// The webhooks last: nothing answers for them here, and no object could be made.
	c.leaveFRR(t)
	for _, late := range []string{"webhooks.yaml", "frr-k8s.yaml"} {
		c.write(t, filepath.Join(templates, late), read(t, "chart/templates/"+late), 0o600)
	}
	c.run(t, "helm -n metallb-system upgrade metallb ./metallb-chart --reuse-values")
	c.run(t, "helm package --version 0.1.0 --app-version v0.1.0 "+filepath.Join(c.Root, "charts", "clarion"))

	l := c.follow(t)
	c.must(t, before)
	c.blocked(t)
	c.must(t, webhooks)
	c.must(t, keepValues)
	if out, err := c.shell(t, "helm -n metallb-system upgrade metallb clarion-0.1.0.tgz -f values.yaml --dry-run"); err == nil || !strings.Contains(out, "Remove controller.image") {
		t.Errorf("the chart takes MetalLB's images: %v\n%.300s", err, out)
	}
	c.must(t, passwordsChart)
	c.must(t, stopChart)
	c.measure(t, func() error { return c.do(t, replaceChart) })
	c.works(t)
	l.unchanged(t, "old")
	c.newService(t)
	c.migrates(t)
	if out := c.kubectl(t, "-n", system, "get", "daemonset", "metallb-speaker", "-o", "jsonpath={.spec.template.spec.containers[0].args}"); !strings.Contains(out, "--log-level=debug") {
		t.Errorf("a value of the release is lost: the speaker's arguments are %s", out)
	}
}

// helm puts the program that `make helm-bin` builds beside kubectl.
func (c *cluster) helm(t *testing.T) {
	t.Helper()
	bin := filepath.Join(c.Root, "bin", "helm")
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("find helm: %v; build it with `make helm-bin`", err)
	}
	if err := os.Symlink(bin, filepath.Join(c.dir, "helm")); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) run(t *testing.T, commands string) {
	t.Helper()
	if out, err := c.shell(t, commands); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// leaveAfter waits for MetalLB's pods and puts everything else in place. The speakers of the
// lab are played and do not wait for their Secret.
func (c *cluster) leaveAfter(t *testing.T, secret, deployment, daemonSet string) {
	t.Helper()
	c.kubectl(t, "-n", system, "rollout", "status", "deployment/"+deployment, "--timeout=60s")
	c.kubectl(t, "-n", system, "rollout", "status", "daemonset/"+daemonSet, "--timeout=60s")
	c.leave(t, secret, deployment)
}

const another = `{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: more, namespace: metallb-system}, spec: {addresses: [192.168.103.0/28]}}`

// blocked checks that the cluster is what the page warns of: no object can be written.
func (c *cluster) blocked(t *testing.T) {
	t.Helper()
	if err := c.Apply(t.Context(), another); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("with MetalLB's webhooks and nobody behind them, a new pool gives %v", err)
	}
	if _, err := c.Kubectl(t.Context(), "-n", system, "get", "bgppeers.v1beta1.metallb.io"); err == nil {
		t.Error("BGPPeers can be read as v1beta1 without the conversion webhook")
	}
}

// measure replaces the speakers and tells for how long nobody answered. A client that knows the
// owner from MetalLB's times goes on asking it meanwhile.
func (c *cluster) measure(t *testing.T, event func() error) {
	t.Helper()
	s := served()[0]
	owner := elected(s.addr, "n1", "n2", "n3")
	mac, err := c.Exec(t.Context(), owner, "cat", "/sys/class/net/eth0/address")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "client", "ip", "neigh", "replace", s.addr, "dev", "eth0", "lladdr", strings.TrimSpace(mac), "nud", "reachable"); err != nil {
		t.Fatal(err)
	}
	routed := c.routes(t)
	var began time.Time
	o, err := c.Watch(t.Context(), net.JoinHostPort(s.addr, fmt.Sprint(s.port)), 2*time.Second, func() error {
		began = time.Now()
		err := event()
		t.Logf("the commands took %s", time.Since(began).Round(time.Millisecond))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	routed(began)
	gap, err := o.TakeOver(s.addr, "nobody", began)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: nobody answered from the deletion of MetalLB's speakers on for %s; a client that knew the owner lost %d of %d questions, for at most %.0f ms",
		s.addr, gap.Round(time.Millisecond), o.Lost, o.Sent, o.LostMS())
	// Before the owner's speaker is there, one that is alone has reason to announce the address.
	for host, times := range o.Claims(s.addr, began) {
		t.Logf("%s said %d times that it has %s, the first time after %s", host, len(times), s.addr, times[0].Sub(began).Round(time.Millisecond))
	}
	if len(o.Claims(s.addr, began)[owner]) == 0 {
		t.Errorf("%s, which owns %s, never said so", owner, s.addr)
	}
}

// works checks everything that the page promises.
func (c *cluster) works(t *testing.T) {
	t.Helper()
	c.must(t, check)
	c.noFRR(t)
	for _, s := range served() {
		nodes := []string{"n1", "n2", "n3"}
		if s.name == "local" {
			nodes = strings.Fields(c.kubectl(t, "-n", apps, "get", "pods", "-l", "app=echo", "-o", "jsonpath={.items[*].spec.nodeName}"))
		}
		want := elected(s.addr, nodes...)
		if got, err := c.Owner(t.Context(), s.addr, patience); err != nil || got != want {
			t.Errorf("%s of %s is at %s, MetalLB elects %s (%v)", s.addr, s.name, got, want, err)
		}
	}
	// What the page says of peers that were written as v1beta1.
	if out := c.kubectl(t, "-n", system, "get", "configurationstate", "controller", "-o", "jsonpath={.status.errorSummary}"); !strings.Contains(out, "BGPPeer metallb-system/old spec.holdTime") {
		t.Errorf("of the hold time 0 it is said: %q", out)
	}
	c.kubectl(t, "-n", system, "patch", "bgppeer", "old", "--type=merge", "-p", `{"spec": {"holdTime": null, "keepaliveTime": null}}`)
	c.eventually(t, "configuration", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", system, "get", "configurationstates", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.result} {end}`)
		for _, name := range []string{"controller", "speaker-n1", "speaker-n2", "speaker-n3"} {
			if err == nil && !strings.Contains(out, name+"=Valid") {
				err = fmt.Errorf("configuration states are %q, want %s=Valid", out, name)
			}
		}
		return err
	})
	c.eventually(t, "status objects", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", system, "get", "servicel2statuses,servicebgpstatuses", "-o", "jsonpath={.items[*].metadata.name}")
		for _, name := range []string{"l2-0", "l2-stale", "bgp-abcde", "bgp-stale"} {
			if strings.Contains(out, name) {
				err = errors.Join(err, fmt.Errorf("%s of MetalLB is among %s", name, out))
			}
		}
		return err
	})
	for _, what := range []string{"validatingwebhookconfigurations/metallb-webhook-configuration", "services/metallb-webhook-service", "secrets/metallb-webhook-cert"} {
		if _, err := c.Kubectl(t.Context(), "-n", system, "get", what); err == nil {
			t.Errorf("%s is still there", what)
		}
	}
	for _, v := range []string{"v1beta1", "v1beta2"} {
		if out := c.kubectl(t, "-n", system, "get", "bgppeers."+v+".metallb.io", "-o", "name"); len(strings.Fields(out)) != 2 {
			t.Errorf("BGPPeers as %s: %q", v, out)
		}
	}
	if secrets := c.kubectl(t, "-n", system, "get", "secrets", "-o", "jsonpath={.items[*].data.secretkey}"); !strings.Contains(secrets, "YjJ4a") {
		t.Errorf("the speakers' key has not stayed: %q", secrets)
	}
}

// newService checks that objects can be written, and that Services get addresses.
func (c *cluster) newService(t *testing.T) {
	t.Helper()
	c.apply(t, another)
	c.apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: new, namespace: %s}, spec: {type: LoadBalancer, selector: {app: echo}, ports: [{port: 80, protocol: UDP}]}}`, apps))
	addr, err := c.Address(t.Context(), apps, "new", patience)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range served() {
		if s.addr == addr {
			t.Errorf("the new Service has %s of %s", addr, s.name)
		}
	}
	if _, err := c.Owner(t.Context(), addr, patience); err != nil {
		t.Error(err)
	}
}
