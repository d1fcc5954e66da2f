// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Lab is one lab cluster. The zero Name is the lab's own default.
type Lab struct {
	Bin  string    // path of bin/lab
	Name string    // names of namespaces and state begin with it
	Root string    // top of the source tree, where config/ is
	Out  io.Writer // receives the progress of Up and Down
}

// Open returns the lab of the given name for the source tree that holds the working directory.
// For two runs side by side the name can be another one: CLARION_STORY_LAB is that for "story".
func Open(name string, out io.Writer) (Lab, error) {
	if other := os.Getenv("CLARION_" + strings.ToUpper(name) + "_LAB"); name != "" && other != "" {
		name = other
	}
	root, err := sourceRoot()
	if err != nil {
		return Lab{}, err
	}
	bin := filepath.Join(root, "bin", "lab")
	if _, err := os.Stat(bin); err != nil {
		return Lab{}, fmt.Errorf("find the lab program: %w; build it with `make lab-bin`", err)
	}
	return Lab{Bin: bin, Name: name, Root: root, Out: out}, nil
}

func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ".golangci.yml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the source tree: not inside a checkout of Clarion")
		}
		dir = parent
	}
}

// Options of Up. Empty values mean the lab's defaults.
type Options struct {
	Nodes               int
	IPFamily            string   // ipv4, ipv6 or dual
	ProxyMode           string   // nftables or iptables
	Controller, Speaker string   // programs that the Pods of these components run
	RestartDelay        string   // before a dead container starts again, such as "10s"
	Runtime             string   // hollow, or containerd for real kubelets and images
	ExtraArgs           []string // "COMPONENT=FLAG" each, such as "apiserver=--audit-log-path=..."
}

// Up starts the cluster and returns when its nodes are Ready.
func (l Lab) Up(ctx context.Context, o Options) error {
	args := []string{"up"}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, "--"+flag, value)
		}
	}
	if o.Nodes > 0 {
		add("nodes", fmt.Sprint(o.Nodes))
	}
	add("ip-family", o.IPFamily)
	add("proxy-mode", o.ProxyMode)
	add("controller", o.Controller)
	add("speaker", o.Speaker)
	add("restart-delay", o.RestartDelay)
	add("runtime", o.Runtime)
	for _, a := range o.ExtraArgs {
		add("extra-arg", a)
	}
	cmd := l.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = l.Out, l.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab up: %w", err)
	}
	return nil
}

// Down removes the cluster and everything the lab made. It also cleans up after a crash.
func (l Lab) Down(ctx context.Context) error {
	cmd := l.command(ctx, "down")
	cmd.Stdout, cmd.Stderr = l.Out, l.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab down: %w", err)
	}
	return nil
}

// Run runs one lab command and returns what it printed. An error carries what the command
// said about it.
func (l Lab) Run(ctx context.Context, args ...string) (string, error) {
	return l.RunInput(ctx, "", args...)
}

// RunInput is Run with something to read on standard input.
func (l Lab) RunInput(ctx context.Context, input string, args ...string) (string, error) {
	cmd := l.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs kubectl as the cluster's administrator.
func (l Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return l.Run(ctx, append([]string{"kubectl", "--"}, args...)...)
}

// Apply applies manifests given as text.
func (l Lab) Apply(ctx context.Context, manifests string) error {
	_, err := l.RunInput(ctx, manifests, "kubectl", "--", "apply", "-f", "-")
	return err
}

// Exec runs a command on a host: client, router, cp, lan, n1..nN, p1..pN.
func (l Lab) Exec(ctx context.Context, host string, command ...string) (string, error) {
	return l.Run(ctx, append([]string{"exec", host, "--"}, command...)...)
}

// Netns returns the name of a host's network namespace.
func (l Lab) Netns(host string) string { return l.Name + "-" + host }

// Fault breaks or repairs something: "power-off n2", "kill n1 speaker", "heal".
func (l Lab) Fault(ctx context.Context, args ...string) error {
	_, err := l.Run(ctx, append([]string{"fault"}, args...)...)
	return err
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func (l Lab) Kubeconfig(ctx context.Context) (string, error) {
	out, err := l.Run(ctx, "kubeconfig")
	return strings.TrimSpace(out), err
}

func (l Lab) command(ctx context.Context, args ...string) *exec.Cmd {
	if l.Name != "" {
		args = append([]string{"--name", l.Name}, args...)
	}
	return exec.CommandContext(ctx, l.Bin, args...) //nolint:gosec // the lab's own program
}

// Process is a program that runs in the lab.
type Process struct {
	Host      string `json:"host"`
	Component string `json:"component"` // "controller", "speaker", "kube-proxy", "apiserver", ...
	PID       int    `json:"pid"`
	Start     int64  `json:"start"` // clock ticks (1/100 s) between boot and its start
}

// Processes lists what runs in the lab.
func (l Lab) Processes(ctx context.Context) ([]Process, error) {
	out, err := l.Run(ctx, "ps")
	if err != nil {
		return nil, err
	}
	var list []Process
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read process list: %w", err)
	}
	return list, nil
}
