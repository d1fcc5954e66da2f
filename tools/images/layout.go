// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// build writes, for each program, an OCI layout and the same as one archive, which
// `ctr images import` takes.
func build(o options) error {
	for _, p := range programs() {
		idx, err := index(o, p)
		if err != nil {
			return err
		}
		if err := writeLayout(o, p, idx); err != nil {
			return err
		}
		if err := writeArchive(o.layoutDir(p)); err != nil {
			return err
		}
		digest, err := idx.Digest()
		if err != nil {
			return fmt.Errorf("digest of %s: %w", p.image(), err)
		}
		fmt.Printf("%s@%s\n", o.reference(p), digest)
	}
	return nil
}

// reference is the full name of an image. Kubernetes reads a name without a registry as one
// of docker.io/library, and containerd finds imported images by full names only.
func (o options) reference(p program) string {
	prefix := "docker.io/library/"
	if o.registry != "" {
		prefix = o.registry + "/"
	}
	return prefix + p.image() + ":" + o.version
}

func writeLayout(o options, p program, idx v1.ImageIndex) error {
	dir := o.layoutDir(p)
	if err := os.RemoveAll(dir); err != nil { //nolint:gosec // the path is the operator's
		return fmt.Errorf("remove old layout: %w", err)
	}
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout %s: %w", dir, err)
	}
	err = l.AppendIndex(idx, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": o.version,
		"io.containerd.image.name":          o.reference(p),
	}))
	if err != nil {
		return fmt.Errorf("write layout %s: %w", dir, err)
	}
	return nil
}

// writeArchive packs a layout into the file of its name with ".tar".
func writeArchive(dir string) error {
	var files []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { //nolint:gosec // the path is the operator's
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // a file that writeLayout has written
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, file{path: filepath.ToSlash(rel), mode: 0o644, data: data})
		return err
	})
	if err != nil {
		return fmt.Errorf("read layout %s: %w", dir, err)
	}
	// Importers that read once want to know what it is before the blobs come.
	slices.SortStableFunc(files, func(a, b file) int { return rank(a.path) - rank(b.path) })
	out, err := os.Create(dir + ".tar") //nolint:gosec // the path is the operator's
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	defer out.Close()
	if err := writeTar(out, files); err != nil {
		return fmt.Errorf("write archive %s.tar: %w", dir, err)
	}
	return out.Close()
}

func rank(path string) int {
	switch path {
	case "oci-layout":
		return 0
	case "index.json":
		return 1
	default:
		return 2
	}
}

// push sends what build has written to a registry, with the credentials of `docker login`.
func push(ctx context.Context, o options) error {
	if o.registry == "" {
		return fmt.Errorf("push: no registry given; use REGISTRY=registry.example.com/path")
	}
	for _, p := range programs() {
		idx, err := readLayout(o, p)
		if err != nil {
			return err
		}
		ref, err := name.ParseReference(o.reference(p))
		if err != nil {
			return fmt.Errorf("parse name of image: %w", err)
		}
		if err := remote.WriteIndex(ref, idx, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
		digest, err := idx.Digest()
		if err != nil {
			return fmt.Errorf("digest of %s: %w", ref, err)
		}
		fmt.Printf("%s@%s\n", ref, digest)
	}
	return nil
}

// readLayout returns the multi-platform image that a layout holds.
func readLayout(o options, p program) (v1.ImageIndex, error) {
	dir := o.layoutDir(p)
	l, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("read layout %s: %w; `make images` writes it", dir, err)
	}
	manifest, err := l.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read layout %s: %w", dir, err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("read layout %s: %d images in it, not one", dir, len(manifest.Manifests))
	}
	return l.ImageIndex(manifest.Manifests[0].Digest)
}
