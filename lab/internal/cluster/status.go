// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// Status prints what the lab consists of and what is broken at the moment.
func Status(w io.Writer, d state.Dir, c state.Config) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "lab\t%s, %d nodes, %s, kube-proxy %s\n", c.Name, c.Nodes, c.Family, c.ProxyMode)
	fmt.Fprintf(t, "kubeconfig\t%s\n", d.Path("kube", "admin"))
	fmt.Fprintf(t, "logs\t%s\n", d.Path("logs"))
	fmt.Fprintf(t, "services\t%s\n", join(c.ServiceCIDRs()))
	fmt.Fprintf(t, "free for pools\t192.168.100.100-192.168.103.254, off-link %s\n\n", join(c.BenchCIDRs()))
	fmt.Fprintln(t, "HOST\tLINK\tADDRESSES\tMAC\tPODS\tPROCESSES")
	for _, h := range c.Hosts() {
		addrs, err := c.Addrs(h)
		if err != nil {
			return err
		}
		mac, err := c.MAC(h)
		if err != nil {
			return err
		}
		pods := "-"
		if n, ok := c.NodeNumber(h); ok {
			pods = join(c.PodCIDRs(n))
		}
		procs, err := processes(d, h)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", h, linkState(c, h), join(addrs), mac, pods, procs)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, rule := range cuts(c.Lab) {
		fmt.Fprintln(w, "partition:", rule)
	}
	return nil
}

func linkState(c state.Config, h string) string {
	switch {
	case !host.NetnsExists(c.Netns(h)):
		return "off"
	case host.LinkUp(c.Lab, h):
		return "up"
	}
	return "down"
}

// processes lists a host's processes; those that do not run are marked.
func processes(d state.Dir, h string) (string, error) {
	comps, err := d.Components()
	if err != nil {
		return "", err
	}
	s := ""
	add := func(name string, id proc.ID) {
		if st := proc.State(id); st != "running" {
			name += "(" + st + ")"
		}
		s += name + " "
	}
	for _, c := range comps {
		if c.Host == h {
			add(c.Name, c.ID)
		}
	}
	containers, err := d.Containers(h)
	if err != nil {
		return "", err
	}
	for _, c := range containers {
		add(c.Pod+":"+c.Name, c.ID)
	}
	if s == "" {
		s = "-"
	}
	return s, nil
}
