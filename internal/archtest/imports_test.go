// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"slices"
	"strings"
	"testing"
)

// pure are the packages that decide. The same input gives the same output, on every machine
// and at every time.
var pure = []string{
	"internal/lb", "internal/cluster", "internal/alloc", "internal/elect",
	"internal/plan", "internal/l2", "internal/mld", "internal/bgp", "internal/watch", "internal/migrate",
}

// impure are the imports that let the world into a decision.
var impure = []struct{ prefix, why string }{
	{"k8s.io/client-go", "a decision works on values; reading the API server is internal/kube's work"},
	{"sigs.k8s.io/", "a decision works on values; reading the API server is internal/kube's work"},
	{"github.com/prometheus", "metrics read the last plan; a plan does not write metrics"},
	{"log/slog", "a decision returns its reason as a value, so that events, conditions and logs say the same"},
	{"log", "a decision returns its reason as a value"},
	{"os", "files and environment are read by the mains and handed in"},
	{"net/http", "no sockets in a decision"},
	{"=net", "addresses are netip values; sockets belong to the shells"},
	{"golang.org/x/sys", "system calls belong to the shells"},
	{"math/rand", "randomness is handed in, seeded, so that a run can be repeated"},
	{"context", "a decision does not wait, so there is nothing to cancel"},
	{"sync", "a decision has no goroutines, so there is nothing to lock"},
}

// allowedInPure are the exceptions, each with its reason.
var allowedInPure = map[[2]string]string{
	{"internal/bgp", "context"}:              "the Router interface is declared by its consumer, and its methods wait",
	{"internal/migrate", "sigs.k8s.io/yaml"}: "what it gives is YAML",
	{"internal/l2", "math/rand/v2"}:          "the jitter of refreshes comes from a generator seeded by the Config",
}

// engines are third-party parts with exactly one importer, so that replacing one touches one folder.
var engines = []struct {
	prefix string
	owners []string
	why    string
}{
	{"github.com/mdlayher/", []string{"internal/l2/wire"}, "packet sockets are opened in one place"},
	{"github.com/osrg/gobgp", []string{"internal/bgp/gobgp"}, "the BGP engine must stay replaceable"},
	{"github.com/hashicorp/memberlist", []string{"internal/members"}, "the membership engine must stay replaceable"},
	{"github.com/vishvananda/netlink", []string{"internal/link"}, "one reader of links, one socket to keep alive"},
	{"k8s.io/client-go", []string{"internal/kube", "controller", "speaker", "kubectl-clarion", "internal/e2e", "bench", "demo", "test"}, "one edge towards the API server"},
}

// shells touch the world. They never know each other: only the mains see two of them.
var shells = []string{
	"internal/kube", "internal/members", "internal/link", "internal/l2/wire", "internal/bgp/gobgp", "internal/bfd/udp",
}

func TestNounsImportTheStandardLibraryOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.rel() != "internal/lb" {
			continue
		}
		for _, imp := range p.Imports {
			if strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("internal/lb imports %s; nouns that everybody shares must not pull anything in", imp)
			}
		}
	}
}

func TestPurePackagesDoNotTouchTheWorld(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.rel()) {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			for _, ban := range impure {
				if !within(imp, ban.prefix) || allowedInPure[[2]string{p.rel(), imp}] != "" {
					continue
				}
				t.Errorf("%s imports %s: %s", p.rel(), imp, ban.why)
			}
		}
	}
	if seen == 0 {
		t.Fatal("none of the pure packages was found")
	}
}

func TestEnginesHaveOneImporter(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for _, e := range engines {
				if !within(imp, e.prefix) || slices.ContainsFunc(e.owners, func(o string) bool { return within(p.rel(), o) }) {
					continue
				}
				t.Errorf("%s imports %s, which belongs to %s: %s", p.rel(), imp, strings.Join(e.owners, ", "), e.why)
			}
		}
	}
}

func TestShellsDoNotImportEachOther(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(shells, p.rel()) {
			continue
		}
		for _, imp := range p.Imports {
			if other := strings.TrimPrefix(imp, module+"/"); slices.Contains(shells, other) {
				t.Errorf("shell %s imports shell %s; let a main hand values from one to the other", p.rel(), other)
			}
		}
	}
}

func TestAPITypesStandAlone(t *testing.T) {
	for _, p := range packages(t) {
		if !within(p.rel(), "api") {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, module) && !within(strings.TrimPrefix(imp, module+"/"), "api") {
				t.Errorf("%s imports %s; other programs use api/ and must not get the rest of Clarion with it", p.rel(), imp)
			}
		}
	}
}

// within says whether path is prefix or lies below it. A prefix that ends in a slash is
// taken as written, and one that begins with "=" is the whole path.
func within(path, prefix string) bool {
	if exact, ok := strings.CutPrefix(prefix, "="); ok {
		return path == exact
	}
	if strings.HasSuffix(prefix, "/") {
		return strings.HasPrefix(path, prefix)
	}
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
