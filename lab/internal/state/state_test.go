// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/lab/internal/topo"
)

func TestLockExcludesAndSurvivesRemovalOfTheDirectory(t *testing.T) {
	base := filepath.Join(t.TempDir(), "labs")
	unlock, err := Lock(base, func() { t.Error("the first lock waits") })
	if err != nil {
		t.Fatal(err)
	}
	waiting, got := make(chan struct{}), make(chan error)
	go func() {
		second, err := Lock(base, func() { close(waiting) })
		if err == nil {
			second()
		}
		got <- err
	}()
	<-waiting
	// As the `down` of the last lab does: the waiter's directory is gone.
	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(base); err != nil {
		t.Errorf("the second lock is on a directory that is not there: %v", err)
	}
}

func TestRecordsComeBackAndUnknownOnesNameTheOthers(t *testing.T) {
	base := t.TempDir()
	d := Open(base, "x")
	if _, err := d.Load(); err == nil || !strings.Contains(err.Error(), "lab up") {
		t.Errorf("error %v does not say what to do", err)
	}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	want := Config{Lab: topo.Lab{Name: "x", Nodes: 2, Family: topo.Dual}, ProxyMode: "nftables", APIHost: "169.254.220.2"}
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Load(); err != nil || got.Lab != want.Lab || got.APIHost != want.APIHost {
		t.Errorf("Load = %+v, %v, want %+v", got, err, want)
	}
	for _, name := range []string{"kubelet", "kube-proxy"} {
		if err := d.SaveComponent(Component{Host: "n1", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Component("n1", "etcd"); err == nil || !strings.Contains(err.Error(), "kube-proxy, kubelet") {
		t.Errorf("error %v does not name what there is", err)
	}
	if c, err := d.Component("n1", "kubelet"); err != nil || c.Name != "kubelet" {
		t.Errorf("Component = %+v, %v", c, err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(base); !os.IsNotExist(err) {
		t.Errorf("the empty base directory is left: %v", err)
	}
}

func TestContainersOfANode(t *testing.T) {
	d := Open(t.TempDir(), "x")
	for _, c := range []Container{
		{Node: "n1", PodID: "b", Pod: "ns/b", Name: "speaker", Component: "speaker"},
		{Node: "n1", PodID: "a", Pod: "ns/a", Name: "main", Component: "controller"},
		{Node: "n2", PodID: "c", Pod: "ns/c", Name: "main"},
	} {
		if err := os.MkdirAll(d.PodDir(c.Node, c.PodID), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := d.SaveContainer(c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Containers("n1")
	if err != nil || len(got) != 2 || got[0].Pod != "ns/a" || got[1].Pod != "ns/b" {
		t.Fatalf("Containers(n1) = %+v, %v", got, err)
	}
	if !got[0].Matches("controller") || !got[0].Matches("main") || got[0].Matches("speaker") {
		t.Error("a container matches its own name and its component, nothing else")
	}
	if err := d.ForgetNode("n1"); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Containers("n1"); err != nil || len(got) != 0 {
		t.Errorf("after ForgetNode: %+v, %v", got, err)
	}
}
