// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// program is what one image holds.
type program struct {
	name, user, about string
}

// programs are the images that an installation needs. The speaker is root, with no capability
// but NET_RAW: another user would need it as a capability of the file (docs/security.md).
func programs() []program {
	return []program{
		{"controller", "65532:65532", "Gives addresses from pools to Services of type LoadBalancer."},
		{"speaker", "0:0", "Announces the addresses of Services of type LoadBalancer on one node."},
	}
}

func (p program) image() string { return "clarion-" + p.name }

// index returns the image of a program for all platforms.
func index(o options, p program) (v1.ImageIndex, error) {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, pl := range o.platforms {
		img, err := image(o, p, pl)
		if err != nil {
			return nil, fmt.Errorf("build %s for %s: %w", p.image(), pl, err)
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Platform: &pl,
		}})
	}
	return mutate.Annotations(idx, labels(o, p)).(v1.ImageIndex), nil
}

func image(o options, p program, pl v1.Platform) (v1.Image, error) {
	binary, err := os.ReadFile(o.binary(p, pl)) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	materials, err := billOfMaterials(o, p, pl, binary)
	if err != nil {
		return nil, err
	}
	about := []file{{path: "usr/share/doc/" + p.image() + "/bom.cdx.json", mode: 0o644, data: materials}}
	if o.notices != "" {
		text, err := os.ReadFile(o.notices)
		if err != nil {
			return nil, fmt.Errorf("read notices: %w", err)
		}
		about = append(about, file{path: "usr/share/doc/" + p.image() + "/NOTICES.txt", mode: 0o644, data: text})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: pl.OS, Architecture: pl.Architecture, Variant: pl.Variant,
		Created: v1.Time{Time: o.created},
		RootFS:  v1.RootFS{Type: "layers"},
		Config:  v1.Config{Entrypoint: []string{"/" + p.name}, User: p.user, Labels: labels(o, p)},
	})
	if err != nil {
		return nil, fmt.Errorf("write image configuration: %w", err)
	}
	// What changes least comes first, so that it is stored and sent once.
	for _, files := range [][]file{about, {{path: p.name, mode: 0o755, data: binary}}} {
		layer, err := layerOf(files)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: o.created}, CreatedBy: "clarion tools/images", Comment: files[0].path,
		}})
		if err != nil {
			return nil, fmt.Errorf("append layer: %w", err)
		}
	}
	return img, nil
}

// labels are the annotations that the OCI image specification defines.
func labels(o options, p program) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       p.image(),
		"org.opencontainers.image.description": p.about,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://github.com/clarion-lb/clarion",
		"org.opencontainers.image.version":     o.version,
	}
	if o.revision != "" {
		all["org.opencontainers.image.revision"] = o.revision
	}
	return all
}
