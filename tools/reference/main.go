// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command reference writes docs/reference.md: every field of every kind, from the CRDs that
// controller-gen has made of the types in api/.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

const head = `# API reference

Every kind and field, generated from the types in ` + "`api/`" + ` by ` + "`make generate`" + `. What of it MetalLB does not have, and what differs on purpose,
is in [api.md](api.md); ` + "`kubectl explain KIND.spec`" + ` says the same on a cluster. All kinds are namespaced, and are read from Clarion's own namespace only.
`

func run(args []string) error {
	f := flag.NewFlagSet("reference", flag.ContinueOnError)
	crds := f.String("crds", "config/crd/bases", "folder of the CRDs")
	out := f.String("out", "docs/reference.md", "file to write")
	if err := f.Parse(args); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(*crds, "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("no CRDs in %s", *crds), err)
	}
	var b strings.Builder
	b.WriteString(head)
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // a file of the source tree
		if err != nil {
			return fmt.Errorf("read CRD: %w", err)
		}
		var crd apiextensions.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		for i := range crd.Spec.Versions {
			kind(&b, &crd, &crd.Spec.Versions[i])
		}
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil { //nolint:gosec // documents are for everybody
		return fmt.Errorf("write reference: %w", err)
	}
	if err := os.WriteFile(*out, []byte(b.String()), 0o644); err != nil { //nolint:gosec // the same
		return fmt.Errorf("write reference: %w", err)
	}
	return nil
}

func kind(w io.Writer, crd *apiextensions.CustomResourceDefinition, v *apiextensions.CustomResourceDefinitionVersion) {
	schema := v.Schema.OpenAPIV3Schema
	fmt.Fprintf(w, "\n## %s (%s/%s)\n\n%s\n", crd.Spec.Names.Kind, crd.Spec.Group, v.Name, cell(schema.Description))
	if v.Deprecated {
		fmt.Fprint(w, "\nDeprecated: use the other version.\n")
	}
	rows := fields("", schema, nil)
	fmt.Fprint(w, "\n| field | type | description |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", r.path, r.kind, r.text)
	}
}

type row struct{ path, kind, text string }

// fields appends a row for every field below a schema, required ones marked by their type.
func fields(prefix string, s *apiextensions.JSONSchemaProps, rows []row) []row {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if prefix == "" && (name == "apiVersion" || name == "kind" || name == "metadata") {
			continue // the same in every kind
		}
		p := s.Properties[name]
		path := prefix + name
		rows = append(rows, row{path, describe(&p, slices.Contains(s.Required, name)), cell(p.Description)})
		inner := &p
		if p.Items != nil && p.Items.Schema != nil {
			inner, path = p.Items.Schema, path+"[]"
		}
		if !wellKnown(inner) {
			rows = fields(path+".", inner, rows)
		}
	}
	return rows
}

// wellKnown says whether a schema is one that every user of Kubernetes knows.
func wellKnown(s *apiextensions.JSONSchemaProps) bool {
	return isSelector(s) || isCondition(s)
}

func isSelector(s *apiextensions.JSONSchemaProps) bool {
	return s.Properties["matchExpressions"].Type != ""
}

// isCondition tells a metav1.Condition from a status that also has the time of its last change.
func isCondition(s *apiextensions.JSONSchemaProps) bool {
	return s.Properties["lastTransitionTime"].Type != "" && s.Properties["type"].Type != ""
}

func describe(p *apiextensions.JSONSchemaProps, required bool) string {
	s := p
	kind := ""
	if p.Items != nil && p.Items.Schema != nil {
		s, kind = p.Items.Schema, "list of "
	}
	switch {
	case isSelector(s):
		kind += "LabelSelector"
	case isCondition(s):
		kind += "Condition"
	case s.XIntOrString:
		kind += "integer or string"
	default:
		kind += s.Type
	}
	var notes []string
	if len(s.Enum) > 0 {
		var values []string
		for _, e := range s.Enum {
			values = append(values, strings.Trim(string(e.Raw), `"`))
		}
		notes = append(notes, "one of "+strings.Join(values, ", "))
	}
	if s.Minimum != nil || s.Maximum != nil {
		notes = append(notes, bounds(s))
	}
	if p.Default != nil {
		notes = append(notes, "default "+string(p.Default.Raw))
	}
	if required {
		notes = append(notes, "required")
	}
	return cell(strings.Join(append([]string{kind}, notes...), "; "))
}

func bounds(s *apiextensions.JSONSchemaProps) string {
	switch {
	case s.Maximum == nil:
		return fmt.Sprintf("at least %.0f", *s.Minimum)
	case s.Minimum == nil:
		return fmt.Sprintf("at most %.0f", *s.Maximum)
	}
	return fmt.Sprintf("%.0f to %.0f", *s.Minimum, *s.Maximum)
}

// cell makes a text fit into one cell of a table.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;").Replace(strings.TrimSpace(s))
}
