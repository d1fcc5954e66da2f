// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command manifests renders the kustomize folders of config/ into files that `kubectl apply -f`
// takes, with the images of a release.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "manifests: %v\n", err)
		os.Exit(1)
	}
}

// files are the folders of config/ that users apply as they are, and what they become.
func files() map[string]string {
	return map[string]string{
		"native": "clarion.yaml", "crd": "crds.yaml", "prometheus": "prometheus.yaml", "networkpolicies": "networkpolicies.yaml",
	}
}

// images are the images that the manifests name.
func images() []string { return []string{"clarion-controller", "clarion-speaker"} }

func run(args []string) error {
	f := flag.NewFlagSet("manifests", flag.ContinueOnError)
	config := f.String("config", "config", "folder of the kustomizations")
	out := f.String("out", "dist/manifests", "folder to write to")
	registry := f.String("registry", "", "registry and path before the names of the images")
	version := f.String("version", "dev", "tag of the images")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // manifests are no secret
		return fmt.Errorf("make folder: %w", err)
	}
	for folder, name := range files() {
		text, err := render(filepath.Join(*config, folder), *registry, *version)
		if err != nil {
			return err
		}
		path := filepath.Join(*out, name)
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // manifests are no secret
			return fmt.Errorf("write manifest: %w", err)
		}
		fmt.Println(path)
	}
	return nil
}

// render builds a kustomization, in an order in which a single apply succeeds.
func render(dir, registry, version string) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // namespaces and CRDs come first
	objects, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	if err := setImages(objects, registry, version); err != nil {
		return nil, fmt.Errorf("set images of %s: %w", dir, err)
	}
	text, err := objects.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", dir, err)
	}
	return text, nil
}

func setImages(objects resmap.ResMap, registry, version string) error {
	for _, image := range images() {
		name := image
		if registry != "" {
			name = registry + "/" + image
		}
		err := objects.ApplyFilter(imagetag.Filter{
			ImageTag: types.Image{Name: image, NewName: name, NewTag: version},
			FsSlice:  types.FsSlice{{Path: "spec/template/spec/containers[]/image"}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
