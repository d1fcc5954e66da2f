// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// module is one that is linked.
type module struct {
	Path, Version, Dir string

	dirs     map[string]bool // where linked packages are, and the folders above them
	files    []licenceFile
	licences []string // SPDX identifiers, sorted
}

type licenceFile struct {
	name string
	text []byte
}

// linked lists the modules of all packages that programs import when they are built for a platform
// such as linux/arm/v7, the main module not among them, and not Go's own library.
func linked(dir, platform string, programs []string) ([]module, error) {
	system, rest, _ := strings.Cut(platform, "/")
	arch, variant, _ := strings.Cut(rest, "/")
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,Module,Standard"}, programs...)...) //nolint:gosec // packages of ours
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOARM="+strings.TrimPrefix(variant, "v"))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages for %s: %w", platform, err)
	}
	byPath := map[string]*module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir      string
			Standard bool
			Module   *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Path, Version, Dir string }
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read list of packages: %w", err)
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m := byPath[p.Module.Path]
		if m == nil {
			m = &module{Path: p.Module.Path, Version: p.Module.Version, Dir: p.Module.Dir, dirs: map[string]bool{}}
			byPath[m.Path] = m
		}
		for d := p.Dir; strings.HasPrefix(d, m.Dir); d = filepath.Dir(d) {
			m.dirs[d] = true
		}
	}
	var list []module
	for _, m := range byPath {
		list = append(list, *m)
	}
	return list, nil
}

// union has each module of both lists once, with all of its folders, sorted.
func union(a, b []module) []module {
	byPath := map[string]module{}
	for _, m := range slices.Concat(a, b) {
		if known, ok := byPath[m.Path]; ok {
			maps.Copy(m.dirs, known.dirs)
		}
		byPath[m.Path] = m
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b module) int { return strings.Compare(a.Path, b.Path) })
}

func standardLibrary() (module, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return module{}, fmt.Errorf("find Go: %w", err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return module{Path: "Go standard library", Version: version, Dir: root, dirs: map[string]bool{root: true}}, nil
}

// licenceName matches the names that licences have.
var licenceName = regexp.MustCompile(`(?i)^(un)?licen[cs]e|^copying|^notice|^patents`)

// find reads the licence files of a module beside and above the packages that are linked.
func (m *module) find() error {
	for _, dir := range slices.Sorted(maps.Keys(m.dirs)) {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", dir, err)
		}
		for _, e := range entries {
			if e.IsDir() || !licenceName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name())) //nolint:gosec // a file of the module cache
			if err != nil {
				return fmt.Errorf("read licence: %w", err)
			}
			m.files = append(m.files, licenceFile{e.Name(), text})
		}
	}
	return nil
}

type texts struct{ known *classifier.Classifier }

func newClassifier() (texts, error) {
	c, err := assets.DefaultClassifier()
	if err != nil {
		return texts{}, fmt.Errorf("load licence texts: %w", err)
	}
	return texts{c}, nil
}

// classify finds the licences of a module by the texts of its files.
func (t texts) classify(m *module) error {
	if err := m.find(); err != nil {
		return err
	}
	found := map[string]bool{}
	for _, f := range m.files {
		for _, match := range t.known.Match(f.text).Matches {
			if match.MatchType == "License" {
				found[match.Name] = true
			}
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("%s %s has no licence that is recognized", m.Path, m.Version)
	}
	m.licences = slices.Sorted(maps.Keys(found))
	return nil
}
