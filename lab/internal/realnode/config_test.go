// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

func TestPrepareWritesWhatTheProgramsRead(t *testing.T) {
	d := state.At(t.TempDir())
	c := state.Config{Lab: topo.Lab{Name: "x", Nodes: 2, Family: "dual"}, Runtime: state.Containerd}
	if err := Prepare(c, d, "n2"); err != nil {
		t.Fatal(err)
	}
	var kubelet struct {
		ContainerRuntimeEndpoint string
		EvictionHard             map[string]string
	}
	read(t, dir(d, "n2", "kubelet.yaml"), func(b []byte) error { return yaml.Unmarshal(b, &kubelet) })
	if kubelet.ContainerRuntimeEndpoint != "unix://"+socket(d, "n2") || kubelet.EvictionHard["nodefs.available"] != "0%" {
		t.Errorf("kubelet: %+v", kubelet)
	}
	var network struct {
		Plugins []struct {
			IPAM struct {
				Ranges [][]struct{ Subnet, RangeStart, RangeEnd string }
				Routes []struct{ Dst string }
			}
		}
	}
	read(t, dir(d, "n2", "cni", "lab.conflist"), func(b []byte) error { return json.Unmarshal(b, &network) })
	ipam := network.Plugins[0].IPAM
	if len(ipam.Ranges) != 2 || ipam.Ranges[0][0].RangeStart != "10.244.2.16" || ipam.Ranges[1][0].Subnet != c.PodCIDRs(2)[1].String() ||
		ipam.Routes[0].Dst != "0.0.0.0/0" || ipam.Routes[1].Dst != "::/0" {
		t.Errorf("network: %+v", ipam)
	}
	read(t, dir(d, "n2", "containerd.toml"), func(b []byte) error {
		if !strings.Contains(string(b), `address = "`+socket(d, "n2")+`"`) {
			t.Errorf("containerd listens elsewhere:\n%s", b)
		}
		return nil
	})
}

func read(t *testing.T, file string, decode func([]byte) error) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = decode(b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOffset(t *testing.T) {
	for in, want := range map[string]string{"10.244.3.0/24": "10.244.3.16", "fd00:244:0:3::/64": "fd00:244:0:3::10"} {
		if got := offset(netip.MustParsePrefix(in), 0x10); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
