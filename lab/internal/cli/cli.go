// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package cli is the lab's command line: it parses, calls the other packages
// and prints. It decides nothing else.
package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

const long = `A real Kubernetes cluster on one machine: etcd, kube-apiserver, kube-controller-manager,
kube-scheduler and one kube-proxy per node. Nodes are network namespaces on one LAN,
beside a client host and a router host that are not part of the cluster.

HOST is one of: client router cp lan, n1..nN (nodes), p1..pN (their pods).
COMPONENT is one of: kubelet kube-proxy, controller speaker (pods of the node, by
container name or component label), and on cp: etcd apiserver kube-controller-manager scheduler.`

// app holds what every command needs to know.
type app struct {
	base     string // directory of all labs
	name     string // the lab
	packages string // which tool is in which Debian package
}

// Run executes the command line and returns the exit code.
func Run(packages string) int {
	a := &app{packages: packages}
	root := a.root()
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return 0
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "lab", Short: "A real Kubernetes cluster whose nodes are network namespaces", Long: long,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVar(&a.name, "name", env("CLARION_LAB_NAME", "clarion"), "name of the lab; several labs can run side by side ($CLARION_LAB_NAME)")
	f.StringVar(&a.base, "state-dir", env("CLARION_LAB_DIR", state.DefaultBase), "directory for the state of all labs ($CLARION_LAB_DIR)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if os.Geteuid() != 0 {
			return errors.New("must run as root: it makes network namespaces")
		}
		return topo.CheckName(a.name)
	}
	root.AddCommand(a.up(), a.down(), a.status(), a.kubeconfig(), a.kubectl(), a.exec(), a.logs(), a.ps(), a.image(), a.importImages(), a.fault(),
		a.proxyMode(), a.probe(), a.neigh())
	return root
}

func (a *app) dir() state.Dir { return state.Open(a.base, a.name) }

// load returns the running lab's directory and configuration.
func (a *app) load() (state.Dir, state.Config, error) {
	d := a.dir()
	c, err := d.Load()
	return d, c, err
}

// lock serialises the commands that build and remove.
func (a *app) lock() (func(), error) {
	return state.Lock(a.base, func() {
		fmt.Fprintln(os.Stderr, "lab: waiting for another `lab up` or `lab down` to finish")
	})
}

// report returns a printer that puts the time since now before each line.
func report() func(string, ...any) {
	begin := time.Now()
	return func(format string, args ...any) {
		fmt.Printf("[%5.1fs] %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
}

// checkTools names each missing program with the Debian package that has it.
func checkTools(packages string) error {
	var missing, install []string
	scan := bufio.NewScanner(strings.NewReader(packages))
	for scan.Scan() {
		pkg, rest, ok := strings.Cut(scan.Text(), "#")
		tool, _, _ := strings.Cut(strings.TrimSpace(rest), ":")
		if pkg = strings.TrimSpace(pkg); !ok || pkg == "" || tool == "" {
			continue
		}
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
			install = append(install, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("missing programs: %s; run: apt-get install --no-install-recommends %s",
		strings.Join(missing, " "), strings.Join(install, " "))
}

// verbatim makes a command that hands its arguments on as they are, with or
// without `--` before them. Only the lab's own flags at the very beginning are
// taken out.
func (a *app) verbatim(c *cobra.Command, run func(args []string) error) *cobra.Command {
	c.DisableFlagParsing = true
	c.RunE = func(cmd *cobra.Command, args []string) error {
		args, err := a.ownFlags(args)
		if err != nil {
			return err
		}
		if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
			return cmd.Help()
		}
		return run(afterDashes(args))
	}
	return c
}

// ownFlags takes leading --name and --state-dir flags out of args.
func (a *app) ownFlags(args []string) ([]string, error) {
	for len(args) > 0 {
		flag, value, hasValue := strings.Cut(args[0], "=")
		var target *string
		switch flag {
		case "--name":
			target = &a.name
		case "--state-dir":
			target = &a.base
		default:
			return args, topo.CheckName(a.name)
		}
		if !hasValue && len(args) < 2 {
			return nil, fmt.Errorf("flag %s needs a value", flag)
		}
		if !hasValue {
			value, args = args[1], args[1:]
		}
		*target, args = value, args[1:]
	}
	return args, topo.CheckName(a.name)
}

// afterDashes removes a leading `--`.
func afterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

func env(key, def string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return def
}
