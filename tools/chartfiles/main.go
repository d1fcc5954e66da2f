// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command chartfiles writes the parts of the Helm chart that are the same as in config/: CRDs,
// admission policies, RBAC rules, excluded interfaces and alerts. The chart's templates put
// names and namespaces into them.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "chartfiles: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("chartfiles", flag.ContinueOnError)
	config := f.String("config", "config", "folder to read")
	out := f.String("out", "charts/clarion/files", "folder to write; what is in it is removed")
	if err := f.Parse(args); err != nil {
		return err
	}
	files, err := generate(*config)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(*out); err != nil {
		return fmt.Errorf("remove old files: %w", err)
	}
	for name, text := range files {
		path := filepath.Join(*out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a chart is no secret
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // a chart is no secret
			return fmt.Errorf("write file: %w", err)
		}
	}
	return nil
}

// generate returns the files by their path in the chart's folder files/.
func generate(config string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, step := range []func(string, map[string][]byte) error{crds, policies, rules, excluded, alerts} {
		if err := step(config, files); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// crds are kept when the release is uninstalled: with them every pool and peer would go.
func crds(config string, files map[string][]byte) error {
	return each(config, "crd/bases/*.yaml", func(path string, text []byte) error {
		const annotations = "\n  annotations:\n"
		if bytes.Count(text, []byte(annotations)) != 1 {
			return fmt.Errorf("annotate %s: no annotations to add to", path)
		}
		text = bytes.Replace(text, []byte(annotations), []byte(annotations+"    helm.sh/resource-policy: keep\n"), 1)
		files["crds/"+filepath.Base(path)] = bytes.TrimPrefix(text, []byte("---\n"))
		return nil
	})
}

func policies(config string, files map[string][]byte) error {
	return each(config, "admission-policies/*.yaml", func(path string, text []byte) error {
		if name := filepath.Base(path); name != "kustomization.yaml" {
			files["admission-policies/"+name] = text
		}
		return nil
	})
}

// rules are those of each role in config/rbac. What is named after the release in the chart
// becomes a placeholder.
func rules(config string, files map[string][]byte) error {
	return each(config, "rbac/*.yaml", func(path string, text []byte) error {
		for doc := range strings.SplitSeq(string(text), "\n---\n") {
			var role struct {
				Kind     string
				Metadata struct{ Name string }
				Rules    []map[string]any
			}
			if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			if role.Rules == nil {
				continue
			}
			out, err := yaml.Marshal(role.Rules)
			if err != nil {
				return fmt.Errorf("write rules of %s: %w", role.Metadata.Name, err)
			}
			out = bytes.ReplaceAll(out, []byte("- memberlist\n"), []byte("- @MEMBERLIST@\n"))
			out = bytes.ReplaceAll(out, []byte("- controller\n"), []byte("- @CONTROLLER@\n"))
			name := strings.ReplaceAll(role.Metadata.Name, "metallb-system:", "")
			files["rules/"+strings.ToLower(role.Kind)+"-"+name+".yaml"] = out
		}
		return nil
	})
}

func excluded(config string, files map[string][]byte) error {
	return each(config, "speaker/excludel2.yaml", func(path string, text []byte) error {
		var cm struct{ Data map[string]string }
		if err := yaml.Unmarshal(text, &cm); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		files["excludel2.yaml"] = []byte(cm.Data["excludel2.yaml"])
		return nil
	})
}

func alerts(config string, files map[string][]byte) error {
	return each(config, "prometheus/rules.yaml", func(path string, text []byte) error {
		var rule struct {
			Spec struct{ Groups []struct{ Rules []any } }
		}
		if err := yaml.Unmarshal(text, &rule); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		out, err := yaml.Marshal(rule.Spec.Groups[0].Rules)
		files["alerts.yaml"] = out
		return err
	})
}

// each calls use with every file of a pattern, and fails if there is none.
func each(config, pattern string, use func(path string, text []byte) error) error {
	paths, err := filepath.Glob(filepath.Join(config, pattern))
	if err != nil || len(paths) == 0 {
		return errors.Join(fmt.Errorf("find %s in %s: none", pattern, config), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // a file of ours
		if err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		if err := use(path, text); err != nil {
			return err
		}
	}
	return nil
}
