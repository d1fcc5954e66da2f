// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Component names, as in `lab fault kill NODE COMPONENT`.
const (
	Etcd      = "etcd"
	APIServer = "apiserver"
	Manager   = "kube-controller-manager"
	Scheduler = "scheduler"
	Proxy     = "kube-proxy"
	Kubelet   = "kubelet"
	Pods      = "pods" // plays the pods that only have to answer
	Runtime   = "containerd"
)

// nodeComponents are what runs on every node, in the order of their start.
func nodeComponents(c state.Config) []string {
	if c.Runtime == state.Containerd {
		return []string{Runtime, Kubelet, Proxy}
	}
	return []string{Pods, Kubelet, Proxy}
}

const apiPort = 6443

// command is how the lab's one binary is told, by argv[0], which program to be
// for a component.
func command(c state.Config, d state.Dir, host, component string) []string {
	switch {
	case component == APIServer:
		return []string{"kube-apiserver"}
	case component == Scheduler:
		return []string{"kube-scheduler"}
	case component == Kubelet && c.Runtime == state.Containerd:
		return realnode.JoinArgs(d, host, "kubelet")
	case component == Kubelet:
		return []string{"hollow-kubelet"}
	}
	return []string{component}
}

// arguments returns the command line of a component on a host, without argv[0].
func arguments(c state.Config, d state.Dir, host, component string) []string {
	var args []string
	switch component {
	case Etcd:
		args = []string{"--data-dir=" + d.Path("etcd")}
	case APIServer:
		args = apiserverArgs(c, d)
	case Manager:
		args = managerArgs(c, d)
	case Scheduler:
		args = []string{
			"--kubeconfig=" + d.Path("kube", "scheduler"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--kube-api-qps=500", "--kube-api-burst=1000",
		}
	case Proxy:
		args = proxyArgs(c, d, host)
	case Pods:
		args = []string{"--file=" + d.PlayFile(host), "--socket=" + d.PlaySocket(host)}
	case Kubelet:
		args = kubeletArgs(c, d, host)
	case Runtime:
		args = realnode.ContainerdArgs(d, host)
	}
	return append(args, c.ExtraArgs[component]...)
}

func apiserverArgs(c state.Config, d state.Dir) []string {
	cp, _ := c.Addrs(topo.CP)
	return []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=" + unspecified(cp[0].Addr()),
		fmt.Sprintf("--secure-port=%d", apiPort),
		"--advertise-address=" + cp[0].Addr().String(),
		"--service-cluster-ip-range=" + join(c.ServiceCIDRs()),
		"--client-ca-file=" + d.Path("pki", "ca.crt"),
		"--tls-cert-file=" + d.Path("pki", "apiserver.crt"),
		"--tls-private-key-file=" + d.Path("pki", "apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + d.Path("pki", "sa.pub"),
		"--service-account-signing-key-file=" + d.Path("pki", "sa.key"),
		"--kubelet-client-certificate=" + d.Path("pki", "apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + d.Path("pki", "apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + d.Path("pki", "ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--endpoint-reconciler-type=lease",
		"--allow-privileged=true",
		// The control plane has no kube-proxy: webhooks are reached at their pods.
		"--enable-aggregator-routing=true",
		"--profiling=false",
	}
}

func managerArgs(c state.Config, d state.Dir) []string {
	return []string{
		"--kubeconfig=" + d.Path("kube", "manager"), "--leader-elect=false", "--bind-address=127.0.0.1",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--service-account-private-key-file=" + d.Path("pki", "sa.key"), "--use-service-account-credentials=true",
		"--root-ca-file=" + d.Path("pki", "ca.crt"),
		// Node prefixes are fixed by the network plan; there are no volumes.
		"--allocate-node-cidrs=false",
		"--cluster-cidr=" + join(c.ClusterCIDRs()),
		"--service-cluster-ip-range=" + join(c.ServiceCIDRs()),
		"--controllers=*,-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller," +
			"-persistentvolume-expander-controller,-persistentvolumeclaim-protection-controller," +
			"-persistentvolume-protection-controller,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller",
	}
}

func proxyArgs(c state.Config, d state.Dir, node string) []string {
	addrs, _ := c.Addrs(node)
	any := unspecified(addrs[0].Addr())
	return []string{
		"--kubeconfig=" + d.Path("kube", "proxy"), "--hostname-override=" + node,
		"--proxy-mode=" + c.ProxyMode,
		"--cluster-cidr=" + join(c.ClusterCIDRs()), "--detect-local-mode=ClusterCIDR",
		"--bind-address=" + any,
		"--healthz-bind-address=" + netip.AddrPortFrom(netip.MustParseAddr(any), proxyHealthPort).String(),
		"--metrics-bind-address=127.0.0.1:10249",
		// A namespace may not set the machine-wide connection tracking limits.
		"--conntrack-max-per-core=0", "--conntrack-min=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
	}
}

const proxyHealthPort = 10256

func kubeletArgs(c state.Config, d state.Dir, node string) []string {
	if c.Runtime == state.Containerd {
		return realnode.KubeletArgs(c, d, node)
	}
	return []string{"--state-dir=" + d.Path(), "--node=" + node}
}

func unspecified(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0"
	}
	return "::"
}

func join[T fmt.Stringer](items []T) string {
	var s []string
	for _, i := range items {
		s = append(s, i.String())
	}
	return strings.Join(s, ",")
}
