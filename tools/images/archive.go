// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// checksums is the file that `sha256sum -c` takes.
const checksums = "SHA256SUMS"

// archive writes one archive per platform with every program that was built for it, and a file
// with the checksums of these and of all other files in the folder: manifests and chart.
func archive(o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil { //nolint:gosec // a release is no secret
		return fmt.Errorf("make folder: %w", err)
	}
	for _, pl := range o.platforms {
		name := fmt.Sprintf("clarion_%s_%s.tar.gz", o.version, folder(pl))
		packed, err := archiveOf(o, pl)
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(o.out, name), packed, 0o644); err != nil { //nolint:gosec // a release is no secret
			return fmt.Errorf("write archive: %w", err)
		}
	}
	sums, err := sumsOf(o.out)
	if err != nil {
		return fmt.Errorf("take checksums: %w", err)
	}
	fmt.Print(sums)
	if err := os.WriteFile(filepath.Join(o.out, checksums), []byte(sums), 0o644); err != nil { //nolint:gosec // a release is no secret
		return fmt.Errorf("write checksums: %w", err)
	}
	return nil
}

func sumsOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var sums strings.Builder
	for _, e := range entries {
		if e.Name() == checksums {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name())) //nolint:gosec // a folder of ours
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return sums.String(), nil
}

func archiveOf(o options, pl v1.Platform) ([]byte, error) {
	top := fmt.Sprintf("clarion_%s_%s/", o.version, folder(pl))
	var files []file
	add := func(path string, mode int64) error {
		data, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
		files = append(files, file{path: top + filepath.Base(path), mode: mode, data: data})
		return err
	}
	programs, err := os.ReadDir(filepath.Join(o.binaries, folder(pl)))
	if err != nil {
		return nil, err
	}
	for _, p := range programs {
		if err := add(filepath.Join(o.binaries, folder(pl), p.Name()), 0o755); err != nil {
			return nil, err
		}
	}
	for _, path := range []string{o.license, o.notices} {
		if path == "" {
			continue
		}
		if err := add(path, 0o644); err != nil {
			return nil, err
		}
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := writeTar(z, files); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
