// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// compile builds programs that do nothing, named like ours, for the platforms.
func compile(t *testing.T, platforms ...v1.Platform) string {
	t.Helper()
	src, out := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/nothing\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() {}\n")
	for _, pl := range platforms {
		for _, p := range programs() {
			cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(out, folder(pl), p.name), ".")
			cmd.Dir = src
			cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0",
				"GOOS="+pl.OS, "GOARCH="+pl.Architecture, "GOARM="+strings.TrimPrefix(pl.Variant, "v"))
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("compile for %s: %v\n%s", pl, err, msg)
			}
		}
	}
	return out
}

func testOptions(t *testing.T) options {
	t.Helper()
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}}
	return options{
		binaries: compile(t, platforms...), out: t.TempDir(), version: "v1.2.3", revision: "abc",
		created: time.Unix(1700000000, 0).UTC(), platforms: platforms,
	}
}

func TestTheSameBinariesGiveTheSameArchives(t *testing.T) {
	o := testOptions(t)
	read := func() map[string]string {
		if err := build(o); err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, p := range programs() {
			b, err := os.ReadFile(o.layoutDir(p) + ".tar")
			if err != nil {
				t.Fatal(err)
			}
			all[p.name] = string(b)
		}
		return all
	}
	first := read()
	o.out = t.TempDir()
	for p, archive := range read() {
		if archive != first[p] {
			t.Errorf("two archives of %s differ", p)
		}
	}
}

func TestImageHoldsOneProgramAndWhatItIsMadeOf(t *testing.T) {
	o := testOptions(t)
	o.notices = filepath.Join(t.TempDir(), "notices")
	if err := os.WriteFile(o.notices, []byte("thanks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := build(o); err != nil {
		t.Fatal(err)
	}
	users := map[string]string{"controller": "65532:65532", "speaker": "0:0"}
	for _, p := range programs() {
		idx, err := readLayout(o, p)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := idx.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		var platforms []string
		for _, m := range manifest.Manifests {
			platforms = append(platforms, m.Platform.String())
			img, err := idx.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			checkImage(t, o, p, *m.Platform, users[p.name], img)
		}
		if got := strings.Join(platforms, " "); got != "linux/amd64 linux/arm/v7" {
			t.Errorf("%s is for %s", p.name, got)
		}
	}
}

func checkImage(t *testing.T, o options, p program, pl v1.Platform, user string, img v1.Image) {
	t.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Config.User != user || cfg.Config.Entrypoint[0] != "/"+p.name || cfg.Variant != pl.Variant ||
		cfg.Config.Labels["org.opencontainers.image.version"] != "v1.2.3" || !cfg.Created.Equal(o.created) {
		t.Errorf("%s for %s has configuration %+v", p.name, pl, cfg)
	}
	files := contents(t, img)
	want, err := os.ReadFile(o.binary(p, pl))
	if err != nil {
		t.Fatal(err)
	}
	doc := "usr/share/doc/clarion-" + p.name + "/"
	if !bytes.Equal(files[p.name], want) || string(files[doc+"NOTICES.txt"]) != "thanks" || len(files) != 3 {
		t.Errorf("%s for %s holds %d files", p.name, pl, len(files))
	}
	var bom cdx.BOM
	if err := json.Unmarshal(files[doc+"bom.cdx.json"], &bom); err != nil {
		t.Fatal(err)
	}
	parts := *bom.Components
	if len(parts) != 1 || parts[0].Name != "stdlib" || bom.Metadata.Component.Name != "clarion-"+p.name {
		t.Errorf("bill of materials of %s: %+v of %+v", p.name, parts, bom.Metadata.Component)
	}
}

func contents(t *testing.T, img v1.Image) map[string][]byte {
	t.Helper()
	rc := mutate.Extract(img)
	defer rc.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(rc); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o022 != 0 {
			t.Errorf("%s belongs to %d:%d with mode %o", h.Name, h.Uid, h.Gid, h.Mode)
		}
		if h.Typeflag == tar.TypeReg {
			if files[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAProgramOfAnotherPlatformIsRefused(t *testing.T) {
	o := testOptions(t)
	o.platforms = []v1.Platform{{OS: "linux", Architecture: "arm64"}}
	wrong := filepath.Join(o.binaries, "linux_arm64")
	if err := os.Rename(filepath.Join(o.binaries, "linux_amd64"), wrong); err != nil {
		t.Fatal(err)
	}
	if err := build(o); err == nil || !strings.Contains(err.Error(), "program is for linux/amd64, not linux/arm64") {
		t.Errorf("got %v", err)
	}
}

func TestPushedImagesHaveTheDigestsThatWereBuilt(t *testing.T) {
	o := testOptions(t)
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	o.registry = strings.TrimPrefix(srv.URL, "http://") + "/clarion"
	if err := build(o); err != nil {
		t.Fatal(err)
	}
	if err := push(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs() {
		built, err := readLayout(o, p)
		if err != nil {
			t.Fatal(err)
		}
		want, err := built.Digest()
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(o.registry + "/clarion-" + p.name + ":v1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Head(ref)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != want {
			t.Errorf("%s: built %s, pushed %s", p.name, want, got.Digest)
		}
	}
}

func TestPushNeedsARegistry(t *testing.T) {
	if err := run(context.Background(), []string{"push"}); err == nil || !strings.Contains(err.Error(), "REGISTRY=") {
		t.Errorf("got %v", err)
	}
}

func TestArchivesHoldTheProgramsAndHaveTheirChecksums(t *testing.T) {
	o := testOptions(t)
	o.license = "../../LICENSE"
	if err := os.MkdirAll(o.out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.out, "clarion.yaml"), []byte("a manifest"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := archive(o); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(o.out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(sums), "  clarion.yaml\n") {
		t.Errorf("the manifest beside the archives has no checksum: %s", sums)
	}
	check := exec.Command("sha256sum", "-c", "SHA256SUMS")
	check.Dir = o.out
	if msg, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, msg)
	}
	const top = "clarion_v1.2.3_linux_arm_v7"
	out, err := exec.Command("tar", "tzf", filepath.Join(o.out, top+".tar.gz")).Output()
	want := top + "/\n" + top + "/controller\n" + top + "/speaker\n" + top + "/LICENSE\n"
	if err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
	if err := archive(o); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(o.out, "SHA256SUMS"))
	if err != nil || !bytes.Equal(sums, again) {
		t.Errorf("the second time the checksums are %s (%v), the first time %s", again, err, sums)
	}
}
