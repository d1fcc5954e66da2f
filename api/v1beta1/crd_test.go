// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// crd is as much of a CustomResourceDefinition as these tests read.
type crd struct {
	Spec struct {
		Group, Scope string
		Names        struct {
			Kind, Plural           string
			ShortNames, Categories []string
		}
		Conversion *struct{ Strategy string }
		Versions   []version
	}
}

type version struct {
	Name                     string
	Served, Storage          bool
	Deprecated               bool
	DeprecationWarning       string
	Subresources             map[string]any
	AdditionalPrinterColumns []struct {
		Name, Type, JSONPath string
		Priority             int
	}
	Schema struct{ OpenAPIV3Schema property }
}

type property struct {
	Type                  string
	Format                string
	Default               any
	Minimum, Maximum      *float64
	Required              []string
	Properties            map[string]property
	PreserveUnknownFields bool `json:"x-kubernetes-preserve-unknown-fields"`
}

// readCRD reads the generated CRD of a kind, by its plural.
func readCRD(t *testing.T, plural string) crd {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "metallb.io_"+plural+".yaml"))
	if err != nil {
		t.Fatalf("read CRD: %v", err)
	}
	var c crd
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatalf("read CRD of %s: %v", plural, err)
	}
	return c
}

// What MetalLB's users have in their clusters and scripts: kinds, versions, and the columns
// of `kubectl get` in their order. Columns of our own come after them.
func TestCRDsLookLikeMetalLBs(t *testing.T) {
	for plural, want := range map[string]struct{ kind, columns, ours string }{
		"bfdprofiles": {"BFDProfile", "Passive Mode:boolean Transmit Interval:integer Receive Interval:integer Multiplier:integer", "Valid"},
		"bgpadvertisements": {"BGPAdvertisement",
			"IPAddressPools:string IPAddressPool Selectors:string Peers:string Node Selectors:string:10", "Valid"},
		"bgppeers":            {"BGPPeer", "Address:string ASN:string BFD Profile:string Multi Hops:string", "Valid"},
		"communities":         {"Community", "", ""},
		"configurationstates": {"ConfigurationState", "Result:string ErrorSummary:string Age:date", ""},
		"ipaddresspools": {"IPAddressPool", "Auto Assign:boolean Avoid Buggy IPs:boolean Addresses:string",
			"Used IPv4, Free IPv4, Used IPv6, Free IPv6, Valid"},
		"l2advertisements": {"L2Advertisement",
			"IPAddressPools:string IPAddressPool Selectors:string Interfaces:string Node Selectors:string:10", "Valid"},
		"servicebgpstatuses": {"ServiceBGPStatus", "Node:string Service Name:string Service Namespace:string", ""},
		"servicel2statuses":  {"ServiceL2Status", "Allocated Node:string Service Name:string Service Namespace:string Conflict:string:10", ""},
	} {
		c := readCRD(t, plural)
		if c.Spec.Group != "metallb.io" || c.Spec.Scope != "Namespaced" || c.Spec.Names.Kind != want.kind || c.Spec.Names.Plural != plural {
			t.Errorf("%s: group %s, scope %s, kind %s, plural %s", plural, c.Spec.Group, c.Spec.Scope, c.Spec.Names.Kind, c.Spec.Names.Plural)
		}
		if len(c.Spec.Names.ShortNames)+len(c.Spec.Names.Categories) > 0 {
			t.Errorf("%s: MetalLB has no short names and no categories", plural)
		}
		if c.Spec.Conversion != nil {
			t.Errorf("%s: conversion %s, want none", plural, c.Spec.Conversion.Strategy)
		}
		for _, v := range c.Spec.Versions {
			if v.Subresources["status"] == nil {
				t.Errorf("%s %s has no status subresource", plural, v.Name)
			}
			theirs, ours := columns(v)
			if theirs != want.columns || ours != want.ours {
				t.Errorf("%s %s: columns %q, then %q; want %q, then %q", plural, v.Name, theirs, ours, want.columns, want.ours)
			}
		}
	}
}

// columns splits the columns into those that MetalLB has, with their types and priorities,
// and the names of those that it has not.
func columns(v version) (theirs, ours string) {
	var a, b []string
	for _, c := range v.AdditionalPrinterColumns {
		text := c.Name + ":" + c.Type
		switch {
		case strings.HasPrefix(c.Name, "Used ") || strings.HasPrefix(c.Name, "Free ") || c.Name == "Valid":
			b = append(b, c.Name)
			continue
		case c.Priority == 10:
			text += ":10"
		}
		a = append(a, text)
	}
	return strings.Join(a, " "), strings.Join(b, ", ")
}

func TestBGPPeerHasTwoVersions(t *testing.T) {
	versions := readCRD(t, "bgppeers").Spec.Versions
	if len(versions) != 2 {
		t.Fatalf("%d versions, want 2", len(versions))
	}
	old, current := versions[0], versions[1]
	if old.Name != "v1beta1" || !old.Served || old.Storage || !old.Deprecated ||
		old.DeprecationWarning != "v1beta1 is deprecated, please use v1beta2" {
		t.Errorf("v1beta1 is %+v", old)
	}
	if current.Name != "v1beta2" || !current.Served || !current.Storage || current.Deprecated {
		t.Errorf("v1beta2 is %+v", current)
	}
	a, b := old.Schema.OpenAPIV3Schema.Properties["spec"], current.Schema.OpenAPIV3Schema.Properties["spec"]
	if !a.PreserveUnknownFields || b.PreserveUnknownFields {
		t.Errorf("unknown fields are preserved in v1beta1: %t, in v1beta2: %t; want only the first", a.PreserveUnknownFields, b.PreserveUnknownFields)
	}
	types := func(p property) map[string]string {
		out := map[string]string{}
		for name, field := range p.Properties {
			out[name] = field.Type + " " + field.Format
		}
		return out
	}
	if diff := cmp.Diff(types(a), types(b)); diff != "" {
		t.Errorf("fields (-v1beta1 +v1beta2):\n%s", diff)
	}
}

// Defaults are part of what a manifest means.
func TestDefaultsAreMetalLBs(t *testing.T) {
	for plural, want := range map[string]map[string]any{
		"ipaddresspools":    {"autoAssign": true, "avoidBuggyIPs": false},
		"l2advertisements":  {},
		"bgpadvertisements": {"aggregationLength": 32.0, "aggregationLengthV6": 128.0},
		"bgppeers":          {"peerPort": 179.0, "disableMP": false, "dualStackAddressFamily": false},
		"bfdprofiles":       {},
		"communities":       {},
	} {
		versions := readCRD(t, plural).Spec.Versions
		spec := versions[len(versions)-1].Schema.OpenAPIV3Schema.Properties["spec"]
		got := map[string]any{}
		for name, field := range spec.Properties {
			if field.Default != nil {
				got[name] = field.Default
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: defaults (-want +got):\n%s", plural, diff)
		}
	}
}

// Kubernetes 1.30, the oldest that Clarion supports, compiles new rules with what CEL had in
// 1.29, so that it can be rolled back. Later functions are handy, and refused there.
func TestRulesUseOnlyWhatOldServersKnow(t *testing.T) {
	late := regexp.MustCompile(`\b(isIP|ip|isCIDR|cidr|semver|isSemver|transformList|transformMap|transformMapEntry)\(|` +
		`\.(distinct|flatten|slice|sort|sortBy|reverse|first|last)\(|\b(format\.|lists\.range\()`)
	paths, err := filepath.Glob(filepath.Join("..", "..", "config", "*", "*.yaml"))
	if err != nil {
		t.Fatalf("list manifests: %v", err)
	}
	bases, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(bases) == 0 {
		t.Fatalf("list CRDs: %v, found %d", err, len(bases))
	}
	for _, path := range append(paths, bases...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("read manifest: %v", err)
		}
		for n, line := range strings.Split(string(data), "\n") {
			if call := late.FindString(line); call != "" {
				t.Errorf("%s:%d uses %s, which Kubernetes 1.30 does not accept in a new rule", path, n+1, call)
			}
		}
	}
}
