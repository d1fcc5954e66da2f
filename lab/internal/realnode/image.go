// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clarion-lb/clarion/lab/internal/state"
)

// busybox is the static program of Debian's busybox-static.
const busybox = "/bin/busybox"

// WriteBaseImage writes an archive with the image lab/base:1: busybox, which
// waits. It holds the namespaces of pods, and serves as a small workload:
// busybox has an HTTP server.
func WriteBaseImage(file string) error {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return fmt.Errorf("read busybox: %w", err)
	}
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Size: int64(len(program)), Mode: 0o755}); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if _, err := t.Write(program); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		return fmt.Errorf("make layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{busybox}, Cmd: []string{"sleep", "2147483647"}}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	tag, err := name.NewTag(pauseImage)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}

// Import brings the images of an archive (OCI layout or docker save) to a node.
func Import(ctx context.Context, d state.Dir, node, archive string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket(d, node), "--namespace", "k8s.io", "images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import %s on %s: %w\n%s", archive, node, err, out)
	}
	return nil
}

// Answers says whether containerd on a node does.
func Answers(ctx context.Context, d state.Dir, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket(d, node), "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask containerd: %w: %s", err, out)
	}
	return nil
}
