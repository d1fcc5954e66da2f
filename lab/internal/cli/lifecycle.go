// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/clarion-lb/clarion/lab/internal/cluster"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// upFlags are the flags of `lab up` as typed.
type upFlags struct {
	nodes               int
	family, mode        string
	runtime             string
	controller, speaker string
	images, extra       []string
	restartDelay        time.Duration
}

func (a *app) up() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use: "up", Short: "Start a cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runUp(cmd, f) },
	}
	c.Flags().IntVar(&f.nodes, "nodes", 3, "number of nodes")
	c.Flags().StringVar(&f.family, "ip-family", "ipv4", "ipv4, ipv6 or dual")
	c.Flags().StringVar(&f.mode, "proxy-mode", "nftables", "kube-proxy's mode: nftables or iptables")
	c.Flags().StringVar(&f.runtime, "runtime", state.Hollow, "hollow: pods are played, or programs of this machine; containerd: a real kubelet with containerd, runc and images (see lab import)")
	c.Flags().StringVar(&f.controller, "controller", "", "program to run in the pods of the component \"controller\"")
	c.Flags().StringVar(&f.speaker, "speaker", "", "program to run in the pods of the component \"speaker\"")
	c.Flags().StringArrayVar(&f.images, "image", nil, "NAME=PATH: program to run in containers with this image; may be repeated")
	c.Flags().StringArrayVar(&f.extra, "extra-arg", nil, "COMPONENT=FLAG: one more flag for a component; may be repeated")
	c.Flags().DurationVar(&f.restartDelay, "restart-delay", 10*time.Second, "how long a dead container waits before its first restart; doubles each time")
	return c
}

func (f upFlags) config(name string) (state.Config, error) {
	c := state.Config{
		Lab:       topo.Lab{Name: name, Nodes: f.nodes, Family: topo.Family(f.family)},
		ProxyMode: f.mode, Runtime: f.runtime, RestartDelay: f.restartDelay, Created: time.Now(),
		ExtraArgs: map[string][]string{},
	}
	images := f.images
	if f.controller != "" {
		images = append(images, "@controller="+f.controller)
	}
	if f.speaker != "" {
		images = append(images, "@speaker="+f.speaker)
	}
	var err error
	if c.Images, err = parseImages(images); err != nil {
		return c, err
	}
	for _, e := range f.extra {
		comp, arg, ok := strings.Cut(e, "=")
		if !ok {
			return c, fmt.Errorf("--extra-arg %q is not COMPONENT=FLAG", e)
		}
		c.ExtraArgs[comp] = append(c.ExtraArgs[comp], arg)
	}
	return c, errors.Join(c.Validate(), cluster.CheckMode(c.ProxyMode), cluster.CheckRuntime(c.Runtime))
}

// parseImages reads NAME=PATH pairs and makes the paths absolute, because the
// kubelets run elsewhere.
func parseImages(pairs []string) (map[string]string, error) {
	images := map[string]string{}
	for _, p := range pairs {
		name, path, ok := strings.Cut(p, "=")
		if !ok || name == "" || path == "" {
			return nil, fmt.Errorf("image %q is not NAME=PATH", p)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		st, err := os.Stat(abs)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		if st.IsDir() || st.Mode()&0o111 == 0 {
			return nil, fmt.Errorf("image %s: %s is not an executable file", name, abs)
		}
		images[name] = abs
	}
	return images, nil
}

func (a *app) runUp(cmd *cobra.Command, f upFlags) error {
	c, err := f.config(a.name)
	if err != nil {
		return err
	}
	if err := checkTools(a.packages); err != nil {
		return err
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := cluster.CheckFree(a.dir(), c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	say := report()
	if err := cluster.Up(ctx, a.dir(), c, say); err != nil {
		return fmt.Errorf("%w\n(the half-started lab is left for inspection; `lab down` removes it)", err)
	}
	say("lab %q is up: try `lab status`, `lab kubectl get nodes`; `lab down` removes it", a.name)
	return nil
}

func (a *app) down() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Remove the cluster and everything the lab made, also after a crash", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			unlock, err := a.lock()
			if err != nil {
				return err
			}
			defer unlock()
			say := report()
			if err := cluster.Down(a.dir(), topo.Lab{Name: a.name}); err != nil {
				return err
			}
			say("lab %q is down", a.name)
			return nil
		},
	}
}

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show hosts, addresses and processes", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			return cluster.Status(os.Stdout, d, c)
		},
	}
}

func (a *app) kubeconfig() *cobra.Command {
	return &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of the administrator's kubeconfig", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := cluster.Kubeconfig(a.dir())
			if err != nil {
				return err
			}
			fmt.Println(path)
			return nil
		},
	}
}
