// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// billOfMaterials returns a CycloneDX document with every Go module that is linked into a
// binary, as the linker has recorded it. It refuses a binary of another platform.
func billOfMaterials(o options, p program, pl v1.Platform, binary []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("read build information: %w", err)
	}
	if err := checkPlatform(info, pl); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	bom := cdx.NewBOM()
	main := module(&info.Main, o.version)
	main.Type, main.Name = cdx.ComponentTypeApplication, p.image()
	main.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	main.Properties = &[]cdx.Property{{Name: "platform", Value: pl.String()}}
	bom.Metadata = &cdx.Metadata{Timestamp: o.created.Format(time.RFC3339), Component: &main}

	parts := []cdx.Component{goStandardLibrary(info.GoVersion)}
	for _, dep := range info.Deps {
		// A folder in its place is the same module with a correction (tools/gobgp.sh); scanners know it
		// by its own name and version.
		if r := dep.Replace; r != nil && !strings.HasPrefix(r.Path, ".") {
			dep = r
		}
		parts = append(parts, module(dep, dep.Version))
	}
	slices.SortFunc(parts, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	refs := make([]string, len(parts))
	for i, part := range parts {
		refs[i] = part.BOMRef
	}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}

	var out bytes.Buffer
	enc := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	if err := enc.Encode(bom); err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

func module(m *debug.Module, version string) cdx.Component {
	purl := "pkg:golang/" + m.Path + "@" + url.PathEscape(version)
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: version, PackageURL: purl}
	if m.Sum != "" {
		c.Properties = &[]cdx.Property{{Name: "go.sum", Value: m.Sum}}
	}
	return c
}

func goStandardLibrary(version string) cdx.Component {
	return module(&debug.Module{Path: "stdlib"}, strings.TrimPrefix(version, "go"))
}

func checkPlatform(info *debug.BuildInfo, pl v1.Platform) error {
	built := map[string]string{}
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	if built["GOOS"] != pl.OS || built["GOARCH"] != pl.Architecture {
		return fmt.Errorf("program is for %s/%s, not %s", built["GOOS"], built["GOARCH"], pl)
	}
	if pl.Variant != "" && "v"+built["GOARM"] != pl.Variant {
		return fmt.Errorf("program is for %s with GOARM=%s, not %s", pl.Architecture, built["GOARM"], pl)
	}
	if built["CGO_ENABLED"] != "0" {
		return fmt.Errorf("program for %s is not static: CGO_ENABLED=%s", pl, built["CGO_ENABLED"])
	}
	return nil
}
