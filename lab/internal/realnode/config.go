// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/clarion-lb/clarion/lab/internal/state"
)

// pauseImage holds a pod's namespaces; BaseImage puts it on each node.
const pauseImage = "lab/base:1"

// dir is what a node keeps on its disk: it survives a power-off.
func dir(d state.Dir, node string, names ...string) string {
	return d.Path(append([]string{"nodes", node}, names...)...)
}

// socket is where containerd listens.
func socket(d state.Dir, node string) string { return dir(d, node, "containerd.sock") }

// Prepare writes the configuration of containerd, of the network plugin and
// of the kubelet of a node.
func Prepare(c state.Config, d state.Dir, node string) error {
	for _, sub := range []string{"cni", "kubelet", "pods"} {
		if err := os.MkdirAll(dir(d, node, sub), 0o755); err != nil {
			return fmt.Errorf("make node directory: %w", err)
		}
	}
	network, err := networkConfig(c, d, node)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"containerd.toml":  containerdConfig(d, node),
		"kubelet.yaml":     kubeletConfig(d, node),
		"cni/lab.conflist": network,
	} {
		if err := os.WriteFile(dir(d, node, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write node configuration: %w", err)
		}
	}
	return nil
}

// ContainerdArgs are the arguments of containerd on a node.
func ContainerdArgs(d state.Dir, node string) []string {
	return []string{"--config=" + dir(d, node, "containerd.toml")}
}

// KubeletArgs are the arguments of the kubelet on a node. What has a place in
// its configuration file is there.
func KubeletArgs(c state.Config, d state.Dir, node string) []string {
	addrs, _ := c.Addrs(node)
	var ips []string
	for _, a := range addrs {
		ips = append(ips, a.Addr().String())
	}
	return []string{
		"--config=" + dir(d, node, "kubelet.yaml"), "--kubeconfig=" + d.Path("kube", node),
		"--root-dir=" + dir(d, node, "kubelet"), "--hostname-override=" + node, "--node-ip=" + strings.Join(ips, ","),
	}
}

func containerdConfig(d state.Dir, node string) string {
	// A machine that forbids to lower oom_score_adj must not stop the pods;
	// the streaming server of exec and attach listens on a port of its choice.
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/%s"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
`, dir(d, node, "containerd"), dir(d, node, "run"), socket(d, node), pauseImage, dir(d, node, "cni"))
}

// networkConfig gives a pod a link of its own to the node and addresses of the
// node's pod network beyond those that the lab itself uses.
func networkConfig(c state.Config, d state.Dir, node string) (string, error) {
	n, _ := c.NodeNumber(node)
	type ipRange struct {
		Subnet string `json:"subnet"`
		Start  string `json:"rangeStart"`
		End    string `json:"rangeEnd"`
	}
	var ranges [][]ipRange
	var routes []map[string]string
	for _, cidr := range c.PodCIDRs(n) {
		ranges = append(ranges, []ipRange{{cidr.String(), offset(cidr, 0x10).String(), offset(cidr, 0xf0).String()}})
		routes = append(routes, map[string]string{"dst": netip.PrefixFrom(unspecified(cidr.Addr()), 0).String()})
	}
	b, err := json.MarshalIndent(map[string]any{
		"cniVersion": "0.4.0", "name": "clarion-lab",
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": dir(d, node, "addresses")},
		}},
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode network configuration: %w", err)
	}
	return string(b), nil
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// offset returns the address of a network with this last byte.
func offset(cidr netip.Prefix, last byte) netip.Addr {
	b := cidr.Masked().Addr().AsSlice()
	b[len(b)-1] = last
	a, _ := netip.AddrFromSlice(b)
	return a
}

func kubeletConfig(d state.Dir, node string) string {
	// The node has the machine's disk and memory, so there is nothing to evict
	// for; the cgroups of quality of service are left out, because the
	// machine's hierarchy is not the lab's to divide.
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[1]s}}
authorization: {mode: Webhook}
tlsCertFile: %[2]s
tlsPrivateKeyFile: %[3]s
containerRuntimeEndpoint: unix://%[4]s
podLogsDir: %[5]s
volumePluginDir: %[6]s
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%, imagefs.inodesFree: 0%%}
`, d.Path("pki", "ca.crt"), d.Path("pki", node+".crt"), d.Path("pki", node+".key"), socket(d, node),
		dir(d, node, "pods"), filepath.Join(dir(d, node, "kubelet"), "plugins"))
}
