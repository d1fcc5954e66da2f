// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is one entry of an archive; without data and with mode 0o755 | modeDir it is a folder.
type file struct {
	path string
	mode int64
	data []byte
}

// layerOf packs files with their folders, owned by root and without times.
func layerOf(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	if err := writeTar(&b, files); err != nil {
		return nil, fmt.Errorf("pack layer: %w", err)
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
	if err != nil {
		return nil, fmt.Errorf("compress layer: %w", err)
	}
	return layer, nil
}

// writeTar writes files in order, each folder before what is in it, so that equal input gives
// equal bytes.
func writeTar(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	made := map[string]bool{".": true}
	for _, f := range files {
		for _, dir := range missing(made, path.Dir(f.path)) {
			if err := t.WriteHeader(header(dir+"/", tar.TypeDir, 0o755, 0)); err != nil {
				return fmt.Errorf("write %s: %w", dir, err)
			}
			made[dir] = true
		}
		if err := t.WriteHeader(header(f.path, tar.TypeReg, f.mode, int64(len(f.data)))); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
		if _, err := t.Write(f.data); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return t.Close()
}

// missing lists the folders on the way to dir that are not made yet, outermost first.
func missing(made map[string]bool, dir string) []string {
	var list []string
	for ; !made[dir]; dir = path.Dir(dir) {
		list = append(list, dir)
	}
	slices.Reverse(list)
	return list
}

func header(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{
		Typeflag: kind, Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: size,
		ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}
}
