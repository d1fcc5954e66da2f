// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/clarion-lb/clarion/lab/internal/cluster"
	"github.com/clarion-lb/clarion/lab/internal/host"
)

func (a *app) kubectl() *cobra.Command {
	c := &cobra.Command{Use: "kubectl -- ARGS", Short: "Run kubectl as the cluster's administrator"}
	return a.verbatim(c, func(args []string) error {
		path, err := cluster.Kubeconfig(a.dir())
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the lab's own program: %w", err)
		}
		return syscall.Exec(self, append([]string{"kubectl"}, args...), append(os.Environ(), "KUBECONFIG="+path))
	})
}

func (a *app) exec() *cobra.Command {
	c := &cobra.Command{Use: "exec HOST -- CMD", Short: "Run a command on a host"}
	return a.verbatim(c, func(args []string) error {
		_, c, err := a.load()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return errors.New("no host given: lab exec HOST -- CMD")
		}
		cmd := afterDashes(args[1:])
		if len(cmd) == 0 {
			return errors.New("no command given: lab exec HOST -- CMD")
		}
		return host.Exec(c.Netns(args[0]), cmd, os.Environ())
	})
}

func (a *app) logs() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "logs [NODE] COMPONENT", Short: "Print the log of a component or container", Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, _, err := a.load()
			if err != nil {
				return err
			}
			host := "cp"
			if len(args) == 2 {
				host = args[0]
			}
			files, err := cluster.Logs(d, host, args[len(args)-1])
			if err != nil {
				return err
			}
			if follow {
				return syscall.Exec("/usr/bin/tail", append([]string{"tail", "-n", "+1", "-F"}, files...), os.Environ())
			}
			for _, f := range files {
				if err := printFile(f, len(files) > 1); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is added")
	return c
}

func printFile(path string, title bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if title {
		fmt.Printf("==> %s\n", filepath.Base(path))
	}
	_, err = io.Copy(os.Stdout, f)
	return err
}

func (a *app) ps() *cobra.Command {
	return &cobra.Command{
		Use: "ps", Short: "Print the running programs as JSON: host, component, pid", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			list, err := cluster.Processes(d, c)
			if err != nil {
				return err
			}
			out := json.NewEncoder(os.Stdout)
			out.SetIndent("", "  ")
			return out.Encode(list)
		},
	}
}

func (a *app) importImages() *cobra.Command {
	return &cobra.Command{
		Use: "import ARCHIVE ...", Short: "Bring the images of archives to the nodes of a lab with containerd", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			return cluster.Import(cmd.Context(), d, c, args)
		},
	}
}

func (a *app) image() *cobra.Command {
	return &cobra.Command{
		Use: "image [NAME=PATH ...]", Short: "Show or change which program runs for an image",
		Long: `Without arguments, lists which program runs in the containers of which image.
@controller and @speaker stand for the pods of these components. A change holds
from each container's next start.`,
		RunE: func(_ *cobra.Command, args []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			added, err := parseImages(args)
			if err != nil {
				return err
			}
			if len(added) > 0 {
				if c.Images == nil {
					c.Images = map[string]string{}
				}
				maps.Copy(c.Images, added)
				if err := d.Save(c); err != nil {
					return err
				}
			}
			for _, name := range slices.Sorted(maps.Keys(c.Images)) {
				fmt.Printf("%s=%s\n", name, c.Images[name])
			}
			return nil
		},
	}
}

func (a *app) proxyMode() *cobra.Command {
	return &cobra.Command{
		Use: "proxy-mode nftables|iptables", Short: "Switch every kube-proxy to another mode, live", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			return cluster.SwitchProxyMode(cmd.Context(), d, c, args[0], report())
		},
	}
}
