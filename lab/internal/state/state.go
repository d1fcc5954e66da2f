// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package state keeps what one lab must remember between two commands: its
// configuration and the processes it started. Everything is a file below one
// directory, so that `lab down` ends with removing that directory. The package
// decides nothing about the lab itself.
//
//	lab.json              the configuration
//	procs/HOST.COMPONENT  a started component (package proc's record)
//	pods/NODE/ID/         a process pod: volumes, root, one record per container
//	logs/                 one file per component and container
//	pki/, kube/           keys, certificates, kubeconfigs
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// What can run the pods of the nodes.
const (
	Hollow     = "hollow"     // the lab's own kubelet, which plays pods or runs programs of this machine
	Containerd = "containerd" // a real kubelet with containerd and runc, and images
)

// DefaultBase is where labs live unless the user says otherwise.
const DefaultBase = "/run/clarion-lab"

// Config is a lab as the user asked for it, plus what `lab up` chose.
type Config struct {
	topo.Lab
	ProxyMode    string              `json:"proxyMode"`
	Runtime      string              `json:"runtime"` // what runs the pods: Hollow or Containerd
	Images       map[string]string   `json:"images"`  // image name, "@controller" or "@speaker" -> program file
	ExtraArgs    map[string][]string `json:"extraArgs"`
	RestartDelay time.Duration       `json:"restartDelay"`
	APIHost      string              `json:"apiHost"` // address of the API server as the machine sees it
	Created      time.Time           `json:"created"`
}

// Component is a process started by the lab, with all it takes to start it again.
type Component struct {
	Host string    `json:"host"`
	Name string    `json:"name"`
	Spec proc.Spec `json:"spec"`
	ID   proc.ID   `json:"id"`
	Off  bool      `json:"off,omitempty"` // stopped on purpose by power-off
}

// Dir is the state directory of one lab.
type Dir struct{ path string }

// Open returns the state directory of the named lab; it need not exist.
func Open(base, name string) Dir { return Dir{path: filepath.Join(base, name)} }

// At returns the state directory with this path.
func At(path string) Dir { return Dir{path: path} }

// Path joins names to the directory's path.
func (d Dir) Path(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// Exists reports whether a lab was begun here and not taken down.
func (d Dir) Exists() bool {
	_, err := os.Stat(d.path)
	return err == nil
}

// Create makes the directory and its parts.
func (d Dir) Create() error {
	for _, sub := range []string{"procs", "pods", "logs", "pki", "kube"} {
		if err := os.MkdirAll(d.Path(sub), 0o755); err != nil {
			return fmt.Errorf("create state directory: %w", err)
		}
	}
	return nil
}

// Remove deletes the directory, and its parent if no other lab is there.
func (d Dir) Remove() error {
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("remove state directory: %w", err)
	}
	_ = os.Remove(filepath.Dir(d.path))
	return nil
}

// Load reads the lab's configuration. The error of a lab that is not up says
// what to do.
func (d Dir) Load() (Config, error) {
	var c Config
	err := readJSON(d.Path("lab.json"), &c)
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("no lab in %s: start one with `lab up`", d.path)
	}
	return c, err
}

// Save writes the lab's configuration.
func (d Dir) Save(c Config) error { return WriteJSON(d.Path("lab.json"), c) }

// SaveComponent records a started component.
func (d Dir) SaveComponent(c Component) error {
	return WriteJSON(d.Path("procs", c.Host+"."+c.Name), c)
}

// Component returns one record; the error lists what there is.
func (d Dir) Component(host, name string) (Component, error) {
	all, err := d.Components()
	if err != nil {
		return Component{}, err
	}
	var known []string
	for _, c := range all {
		if c.Host == host && c.Name == name {
			return c, nil
		}
		if c.Host == host {
			known = append(known, c.Name)
		}
	}
	return Component{}, fmt.Errorf("no component %s on %s: it has %s", name, host, strings.Join(known, ", "))
}

// Components returns all records, sorted by host and name.
func (d Dir) Components() ([]Component, error) {
	files, err := filepath.Glob(d.Path("procs", "*"))
	if err != nil {
		return nil, fmt.Errorf("list components: %w", err)
	}
	sort.Strings(files)
	var out []Component
	for _, f := range files {
		if strings.HasSuffix(f, tempSuffix) {
			continue
		}
		var c Component
		if err := readJSON(f, &c); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Log returns the path of a component's or container's log file.
func (d Dir) Log(host, name string) string { return d.Path("logs", host+"."+name+".log") }

// Lock takes the lock that serialises commands that build or remove labs. It
// is a lock on the base directory, so that no lock file can stay behind; the
// kernel drops it when the holder dies.
func Lock(base string, wait func()) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(base, 0o755); err != nil {
			return nil, fmt.Errorf("create %s: %w", base, err)
		}
		fd, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue // removed in between by the `down` of another lab
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", base, err)
		}
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			wait()
			if err := flock(fd); err != nil {
				unix.Close(fd)
				return nil, fmt.Errorf("lock %s: %w", base, err)
			}
		}
		if sameDir(fd, base) {
			return func() { unix.Close(fd) }, nil
		}
		unix.Close(fd) // locked a directory that is gone
	}
}

func flock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func sameDir(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

const tempSuffix = ".new"

// WriteJSON writes v to a file in one step: a reader, also one after a crash,
// sees the old or the new content.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.WriteFile(path+tempSuffix, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}
