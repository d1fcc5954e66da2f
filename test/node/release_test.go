// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// metricsName is in the certificate that the metrics are served with.
const metricsName = "metrics.clarion.test"

// release is a release of the chart, and the certificate of its metrics.
type release struct {
	kubeconfig, chart string
	cert, key         string // files
}

// TestRelease goes the same way with Helm, after TestInstall, and has a peer of BGP on it.
func TestRelease(t *testing.T) {
	r := newRelease(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the chart installs", r.install},
		{"processes have no rights but those they need", processesHaveOnlyTheirRights},
		{"metrics have the certificate of the Secret", r.metrics},
		{"a Service gets an address that answers", serviceAnswers},
		{"a BGP session with BFD and a password comes up", r.bgp},
		{"an upgrade loses nothing", r.upgrade},
		{"uninstalling leaves nothing on a node", r.uninstall},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

func newRelease(t *testing.T) *release {
	t.Helper()
	charts, err := filepath.Glob(built("release", "clarion-*.tgz"))
	if err != nil || len(charts) != 1 {
		t.Fatalf("want the chart, found %v: run `make test-node`", charts)
	}
	kubeconfig, err := lab.Kubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &release{kubeconfig: kubeconfig, chart: charts[0], cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	r.certify(t)
	return r
}

// certify writes a certificate that is its own authority.
func (r *release) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{metricsName}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{r.cert: {Type: "CERTIFICATE", Bytes: cert}, r.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *release) helm(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(lab.Root, "bin", "helm"), append([]string{"-n", labctl.Namespace}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.kubeconfig)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w: %s", args[0], err, out)
	}
	return nil
}

// deploy installs or upgrades, and returns when the new Pods are Ready.
func (r *release) deploy(ctx context.Context, how string, values ...string) error {
	args := []string{how, "metallb", r.chart, "--wait", "--timeout", "90s",
		"--set", "tls.controllerMetricsTLSSecret=metrics-tls,tls.speakerMetricsTLSSecret=metrics-tls,fullnameOverride=clarion"}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return r.helm(ctx, args...)
}

func (r *release) install(t *testing.T) {
	kubectl(t, "create", "namespace", labctl.Namespace)
	kubectl(t, "label", "namespace", labctl.Namespace, "pod-security.kubernetes.io/enforce=privileged")
	kubectl(t, "-n", labctl.Namespace, "create", "secret", "tls", "metrics-tls", "--cert="+r.cert, "--key="+r.key)
	if err := r.deploy(t.Context(), "install"); err != nil {
		t.Fatal(err)
	}
}

// metrics asks all Pods as somebody who trusts nothing but the certificate, and has no token.
func (r *release) metrics(t *testing.T) {
	pods := strings.Fields(kubectl(t, "-n", labctl.Namespace, "get", "pods", "-o", `jsonpath={range .items[*]}{.spec.nodeName}/{.status.podIP} {end}`))
	if len(pods) != 4 {
		t.Fatalf("want two Pods of both programs, there are %v", pods)
	}
	for _, pod := range pods {
		node, ip, _ := strings.Cut(pod, "/")
		code, err := lab.Exec(t.Context(), node, "curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", r.cert,
			"--resolve", metricsName+":9120:"+ip, "https://"+metricsName+":9120/metrics")
		if err != nil || code != "401" {
			t.Errorf("metrics of %s answer %q instead of 401: %v", pod, code, err)
		}
	}
}

// peer is the router host as a peer.
const peer = `
apiVersion: v1
kind: Secret
type: kubernetes.io/basic-auth
metadata: {name: bgp-password, namespace: metallb-system}
stringData: {password: node-test}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: node, namespace: metallb-system}
spec: {receiveInterval: 300, transmitInterval: 300}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: node, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.168.100.1, passwordSecret: {name: bgp-password}, bfdProfile: node}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: node, namespace: metallb-system}
`

// bgp: NET_RAW under seccomp's RuntimeDefault is enough for TCP MD5 and BFD.
func (r *release) bgp(t *testing.T) {
	f := frr.Fabric{
		ASN: 64513, NodeASN: 64512, RouterID: "192.168.100.1", BFDInterval: 300,
		EachNeighbor: []string{"password node-test", "bfd profile fast"},
	}
	for n := range nodes() {
		f.Neighbors = append(f.Neighbors, frr.NodeAddress(n+1, false).String())
	}
	router, err := frr.Start(t.Context(), frr.Options{Netns: lab.Netns("router"), Dir: t.TempDir(), Config: f.Config()})
	if err != nil {
		t.Fatal(err)
	}
	defer router.Stop()
	if err := lab.Apply(t.Context(), peer); err != nil {
		t.Fatal(err)
	}
	defer func() {
		// The profile is held until the API server has noticed that nobody uses it any more.
		err := labctl.Eventually(context.WithoutCancel(t.Context()), patience, func(ctx context.Context) error {
			_, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "delete", "--ignore-not-found",
				"bgppeer/node", "bgpadvertisement/node", "secret/bgp-password", "bfdprofile/node")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}()
	err = labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
		paths, err := router.Paths(ctx, "ipv4")
		if err != nil {
			return err
		}
		if hops := frr.NextHops(paths["192.168.100.200/32"]); len(hops) != len(nodes()) {
			return fmt.Errorf("the route of the Service leads to %v", hops)
		}
		sessions, err := router.BFDPeers(ctx)
		up := 0
		for _, s := range sessions {
			if s.Status == "up" {
				up++
			}
		}
		if err == nil && up != len(nodes()) {
			err = fmt.Errorf("BFD sessions: %+v", sessions)
		}
		return err
	})
	if err != nil {
		t.Fatal(err, router.Said())
	}
}

func (r *release) upgrade(t *testing.T) {
	try := 0
	losesNothing(t, func() error {
		try++ // there is something to change each time
		return r.deploy(t.Context(), "upgrade", fmt.Sprintf("speaker.labels.try=t%d,controller.labels.try=t%d", try, try))
	})
}

// uninstall does what docs/install.md says; Helm leaves the CRDs, and nothing else of the chart.
func (r *release) uninstall(t *testing.T) {
	kubectl(t, "delete", "service,deployment", "web")
	if err := r.helm(t.Context(), "uninstall", "metallb", "--wait", "--timeout", "60s"); err != nil {
		t.Fatal(err)
	}
	asBefore(t)
	if out := kubectl(t, "get", "clusterrole,clusterrolebinding,validatingadmissionpolicy", "-l", "app.kubernetes.io/instance=metallb", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("left in the cluster:\n%s", out)
	}
}
