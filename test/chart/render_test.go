// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the goldens instead of comparing with them")

const chartDir = "../../charts/clarion"

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the manifest and the notes of a release, as `helm template` would.
func render(t *testing.T, release, values string) (manifest, notes string, err error) {
	t.Helper()
	install := action.NewInstall(&action.Configuration{})
	install.ClientOnly, install.DryRun = true, true
	install.ReleaseName, install.Namespace = release, "lb"
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	parsed, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	r, err := install.Run(load(t), parsed)
	if err != nil {
		return "", "", err
	}
	return r.Manifest, r.Info.Notes, nil
}

func TestLint(t *testing.T) {
	result := action.NewLint().Run([]string{chartDir}, nil)
	for _, m := range result.Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
}

// TestTemplates compares what the variants in testdata/*.yaml give with the goldens beside them.
// What is copied from config/ (CRDs, policies, rules of roles) is left out: generate.sh verifies it.
func TestTemplates(t *testing.T) {
	variants, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(variants) == 0 {
		t.Fatalf("no variants: %v", err)
	}
	for _, path := range variants {
		name := strings.TrimSuffix(filepath.Base(path), ".values.yaml")
		t.Run(name, func(t *testing.T) {
			values, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			manifest, notes, err := render(t, "metallb", string(values))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".golden"), withoutCopies(t, manifest)+"# NOTES\n"+notes)
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("the templates give something else than %s; look at it with `cd test/chart && go test -run Templates -update . && git diff`\n%s", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want: " + w[i] + "\ngot:  " + g[i]
		}
	}
	return "one is longer"
}

// object is the head of a Kubernetes object.
type object struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Annotations     map[string]string
	}
}

// objects parses a manifest into its documents.
func objects(t *testing.T, manifest string) (heads []object, docs []string) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+manifest, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if o.Kind != "" {
			heads, docs = append(heads, o), append(docs, doc)
		}
	}
	return heads, docs
}

func withoutCopies(t *testing.T, manifest string) string {
	t.Helper()
	var b strings.Builder
	heads, docs := objects(t, manifest)
	for i, o := range heads {
		switch o.Kind {
		case "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			continue
		}
		doc := docs[i]
		if strings.Contains(doc, "# Source: clarion/templates/rbac.yaml") {
			doc, _, _ = strings.Cut(doc, "\nrules:\n")
		}
		b.WriteString("---\n" + strings.TrimSpace(doc) + "\n")
	}
	return b.String()
}

func TestCRDsAreTemplatesThatAreKept(t *testing.T) {
	manifest, _, err := render(t, "metallb", "")
	if err != nil {
		t.Fatal(err)
	}
	crds, policies := 0, 0
	heads, docs := objects(t, manifest)
	for i, o := range heads {
		switch o.Kind {
		case "CustomResourceDefinition":
			crds++
			if o.Metadata.Annotations["helm.sh/resource-policy"] != "keep" {
				t.Errorf("%s goes with the release, and all objects of its kind with it", o.Metadata.Name)
			}
		case "ValidatingAdmissionPolicy":
			policies++
			if strings.Contains(docs[i], "metallb-system") {
				t.Errorf("%s names a namespace that is not the release's", o.Metadata.Name)
			}
		}
	}
	if crds < 9 || policies == 0 {
		t.Errorf("%d CRDs and %d policies", crds, policies)
	}
	for values, kind := range map[string]string{
		"crds: {enabled: false}":                "CustomResourceDefinition",
		"controller: {webhookMode: disabled}":   "ValidatingAdmissionPolicy",
		"admissionPolicies: {enabled: false}":   "ValidatingAdmissionPolicy",
		"rbac: {create: false}":                 "Role",
		"controller: {enabled: false}":          "Deployment",
		"speaker: {enabled: false}":             "DaemonSet",
		"speaker: {bgpPasswordSecrets: []}":     "no kind of this name",
		"crds: {validationFailurePolicy: Fail}": "no kind of this name",
	} {
		manifest, _, err := render(t, "metallb", values)
		if err != nil {
			t.Fatal(err)
		}
		if heads, _ := objects(t, manifest); contains(heads, kind) {
			t.Errorf("%s leaves objects of kind %s", values, kind)
		}
		if strings.Contains(values, "Fail") && strings.Contains(manifest, "failurePolicy: Ignore") {
			t.Errorf("%s leaves policies that are ignored", values)
		}
	}
}

// TestPoliciesDoNotDependOnTheCRDs: whoever installs the CRDs himself wants the policies all the more.
func TestPoliciesDoNotDependOnTheCRDs(t *testing.T) {
	manifest, _, err := render(t, "metallb", "crds: {enabled: false}")
	if err != nil {
		t.Fatal(err)
	}
	if heads, _ := objects(t, manifest); !contains(heads, "ValidatingAdmissionPolicy") {
		t.Error("crds.enabled=false takes the admission policies along")
	}
}

func contains(heads []object, kind string) bool {
	for _, o := range heads {
		if o.Kind == kind {
			return true
		}
	}
	return false
}

// TestValuesWithoutAMeaningAreAnswered: what MetalLB's chart takes and this one cannot do.
func TestValuesWithoutAMeaningAreAnswered(t *testing.T) {
	for values, want := range map[string]string{
		"speaker: {frr: {enabled: true}}":                               "speaks BGP and BFD itself",
		"frrk8s: {enabled: true}":                                       "frr-k8s of your own",
		"frrk8s: {external: true}":                                      "frr-k8s of your own",
		"configInline: {address-pools: []}":                             "kubectl clarion migrate",
		"controller: {webhookMode: onlywebhook}":                        "no webhook server",
		"speaker: {memberlist: {enabled: false}, nodeSelector: {a: b}}": "every node counts as a candidate",
		"tls: {cipherSuites: TLS_AES_128_GCM_SHA256}":                   "minVersion",
		"prometheus: {podMonitor: {enabled: true}}":                     "name Prometheus' account",
		"prometheus: {rbacPrometheus: false, podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}": "scraped twice",
		"prometheus: {metricsPort: 0, rbacPrometheus: false, serviceMonitor: {enabled: true}}":              "nothing to scrape",
		"controller: {image: {repository: quay.io/metallb/controller}}":                                     "Remove controller.image",
		"speaker: {image: {repository: metallb/speaker, tag: v0.15.2}}":                                     "Remove speaker.image",
		"speaker: {memberlist: {mlBindPort: 7947}}":                                                         "mlWatchPort",
		"controller: {readinessProbe: {port: 17473}}":                                                       "controller.readinessProbe.port",
		"speaker: {readinessProbe: {port: 17473}}":                                                          "speaker.readinessProbe.port",
		"speaker: {livenessProbe: {port: 17473}}":                                                           "speaker.readinessProbe.port",
		"speaker: {startupProbe: {enabled: true, port: 17473}}":                                             "speaker.startupProbe.port",
		"controller: {logLevel: loud}":                                                                      "logLevel",
		"speaker: {memberlist: {mlBindPort: 99999}}":                                                        "mlBindPort",
		"speaker: {frr: 3}":           "frr",
		"controler: {enabled: false}": "controler",
	} {
		if _, _, err := render(t, "metallb", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", values, err, want)
		}
	}
}

// TestValuesOfOldChartsAreTold: what values files for MetalLB's charts since 0.13 may have, and
// what means nothing here, hinders nobody from installing, and the notes name it.
func TestValuesOfOldChartsAreTold(t *testing.T) {
	for values, want := range map[string]string{
		"prometheus: {rbacProxy: {repository: kube-rbac-proxy, tag: v0.12.0}}":             "prometheus.rbacProxy",
		"prometheus: {secureMetricsPort: 9120}":                                            "prometheus.secureMetricsPort",
		"prometheus: {controllerMetricsTLSSecret: mine}":                                   "is called tls.controllerMetricsTLSSecret now.",
		"prometheus: {speakerMetricsTLSSecret: old}\ntls: {speakerMetricsTLSSecret: mine}": "tls.speakerMetricsTLSSecret now, and has no effect beside it.",
		"psp: {create: true}":                                            "psp",
		"frrk8s: {namespace: frr}":                                       "frrk8s.namespace",
		"frrk8s: {secretPassthrough: true}":                              "frrk8s.secretPassthrough",
		"frr-k8s: {frrk8s: {}}":                                          "frr-k8s",
		"speaker: {reloader: {}}":                                        "speaker.reloader",
		"speaker: {frrMetrics: {}}":                                      "speaker.frrMetrics",
		"speaker: {bgpDebounceTimeout: 500}":                             "speaker.bgpDebounceTimeout",
		"speaker: {frr: {enabled: false, image: {}}}":                    "speaker.frr",
		"prometheus: {metricsPort: 0}\nnetworkpolicies: {enabled: true}": "", // they can be read nowhere
	} {
		manifest, notes, err := render(t, "metallb", values)
		if err != nil {
			t.Errorf("%s: %v", values, err)
			continue
		}
		if !strings.Contains(notes, want) || want == "" && strings.Contains(notes, "Without effect") {
			t.Errorf("%s: the notes do not say %q:\n%s", values, want, notes)
		}
		if strings.Contains(values, "mine") && !strings.Contains(manifest, "secretName: mine") {
			t.Errorf("%s: the Secret is not used", values)
		}
		if strings.Contains(values, "metricsPort: 0") && strings.Contains(manifest, "metricshttps") {
			t.Errorf("%s: the port of the metrics is still named", values)
		}
	}
}

// TestReleaseNames: a release of MetalLB's chart keeps the names of its objects.
func TestReleaseNames(t *testing.T) {
	for release, want := range map[string]string{
		"metallb": "metallb-controller", "my-metallb": "my-metallb-controller", "lb": "lb-metallb-controller", "clarion": "clarion-controller",
	} {
		manifest, _, err := render(t, release, "")
		if err != nil {
			t.Fatal(err)
		}
		heads, _ := objects(t, manifest)
		for _, o := range heads {
			if o.Kind == "Deployment" && o.Metadata.Name != want {
				t.Errorf("release %s has Deployment %s, want %s", release, o.Metadata.Name, want)
			}
		}
	}
}
