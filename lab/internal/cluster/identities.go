// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"

	"github.com/clarion-lb/clarion/lab/internal/pki"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// issueIdentities makes the certificates and kubeconfigs of everybody in the
// cluster. Kubelets and kube-proxy get the names that the built-in RBAC and
// node authorizer expect; only the user's own kubeconfig is an administrator's.
func issueIdentities(c state.Config, d state.Dir) error {
	ca, err := pki.NewCA(d.Path("pki"))
	if err != nil {
		return err
	}
	if err := ca.SigningKey("sa"); err != nil {
		return err
	}
	apiHost, err := netip.ParseAddr(c.APIHost)
	if err != nil {
		return fmt.Errorf("parse API host: %w", err)
	}
	serving := pki.Subject{
		User: "kube-apiserver",
		DNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
		Addrs: append(c.KubernetesService(), apiHost, netip.MustParseAddr("127.0.0.1")),
	}
	cp, err := c.Addrs(topo.CP)
	if err != nil {
		return err
	}
	for _, p := range cp {
		serving.Addrs = append(serving.Addrs, p.Addr())
	}
	if _, err := ca.Issue("apiserver", serving); err != nil {
		return err
	}
	client := pki.Subject{User: "apiserver-kubelet-client", Groups: []string{"system:masters"}}
	if _, err := ca.Issue("apiserver-kubelet-client", client); err != nil {
		return err
	}
	inside := apiURL(cp[0].Addr())
	for _, k := range []struct {
		file, server string
		subject      pki.Subject
	}{
		{"admin", apiURL(apiHost), pki.Subject{User: "lab-admin", Groups: []string{"system:masters"}}},
		{"manager", inside, pki.Subject{User: "system:kube-controller-manager"}},
		{"scheduler", inside, pki.Subject{User: "system:kube-scheduler"}},
		{"proxy", inside, pki.Subject{User: "system:kube-proxy"}},
	} {
		pair, err := ca.Issue(k.file, k.subject)
		if err != nil {
			return err
		}
		if err := ca.Kubeconfig(d.Path("kube", k.file), k.server, k.subject.User, pair); err != nil {
			return err
		}
	}
	for _, n := range c.NodeNames() {
		if err := issueNode(c, d, ca, n, inside); err != nil {
			return err
		}
	}
	return nil
}

// issueNode makes a kubelet's certificate, which it uses as a client and to
// serve container logs.
func issueNode(c state.Config, d state.Dir, ca *pki.CA, node, server string) error {
	s := pki.Subject{User: "system:node:" + node, Groups: []string{"system:nodes"}, DNS: []string{node}}
	addrs, err := c.Addrs(node)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		s.Addrs = append(s.Addrs, a.Addr())
	}
	pair, err := ca.Issue(node, s)
	if err != nil {
		return err
	}
	return ca.Kubeconfig(d.Path("kube", node), server, s.User, pair)
}

func apiURL(a netip.Addr) string {
	return "https://" + netip.AddrPortFrom(a, apiPort).String()
}
