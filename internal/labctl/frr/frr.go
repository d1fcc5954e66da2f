// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// programs is where Debian has FRR's daemons.
const programs = "/usr/lib/frr"

// Installed returns an error that tells the cure when FRR is not on this machine.
func Installed() error {
	if _, err := os.Stat(filepath.Join(programs, "bgpd")); err != nil {
		return fmt.Errorf("FRR is not installed (%w): apt-get install frr", err)
	}
	return nil
}

// Options of Start.
type Options struct {
	Netns string // name of the network namespace
	// Dir is for sockets and files. The daemons have dropped root, so it is made open to everybody,
	// and every folder above it that is below the system's temporary folder as well.
	Dir    string
	Config string // as in frr.conf
}

// Router is FRR in a network namespace.
type Router struct {
	netns, dir string
	daemons    map[string]*daemon
}

// order is that of starting: bgpd and bfdd talk to zebra.
func order() []string { return []string{"zebra", "bfdd", "bgpd"} }

// Start runs the daemons and returns when they answer.
func Start(ctx context.Context, o Options) (*Router, error) {
	if err := Installed(); err != nil {
		return nil, err
	}
	r := &Router{netns: o.Netns, dir: o.Dir, daemons: map[string]*daemon{}}
	if err := openDir(o.Dir); err != nil {
		return nil, err
	}
	configs := split(o.Config)
	for _, name := range order() {
		if err := r.startDaemon(ctx, name, configs[name]); err != nil {
			r.Stop()
			return nil, err
		}
	}
	if err := hurry(r.PID("bfdd")); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// hurry lets a daemon run before others. A router has a processor of its own for BFD; on a machine
// shared with a whole cluster its starvation would be measured.
func hurry(pid int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
		return fmt.Errorf("give bfdd precedence: %w", err)
	}
	return nil
}

// openDir makes a folder that everybody can reach and write to.
func openDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make folder for FRR: %w", err)
	}
	for up := filepath.Dir(dir); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		_ = os.Chmod(up, 0o755) //nolint:gosec // see Options.Dir; if it is not ours, it is open already
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // see Options.Dir
		return fmt.Errorf("open folder for FRR: %w", err)
	}
	return nil
}

func (r *Router) startDaemon(ctx context.Context, name, config string) error {
	file := filepath.Join(r.dir, name+".conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil { //nolint:gosec // read by a daemon without root
		return fmt.Errorf("configure %s: %w", name, err)
	}
	args := []string{
		"netns", "exec", r.netns, filepath.Join(programs, name), "-f", file, "--vty_socket", r.dir, "-i", filepath.Join(r.dir, name+".pid"),
		"-z", filepath.Join(r.dir, "zserv.api"), "-P", "0", "--log", "stdout",
	}
	if name == "bfdd" {
		args = append(args, "--bfdctl", filepath.Join(r.dir, "bfdd.sock"))
	}
	d, err := start(args)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	r.daemons[name] = d
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(filepath.Join(r.dir, name+".vty")); err == nil {
			return nil
		}
		if d.ended() || time.Now().After(end) {
			return fmt.Errorf("start %s: it does not listen: %s", name, d.out.tail(2000))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the daemons that Start started, and no others.
func (r *Router) Stop() {
	for _, d := range r.daemons {
		d.kill()
	}
}

// split gives each daemon its part of a configuration: it stops reading at what it does not know.
func split(config string) map[string]string {
	out := map[string]string{}
	to := ""
	for line := range strings.Lines(config) {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case strings.HasPrefix(line, " "):
		case word == "log":
			for _, d := range order() {
				out[d] += line
			}
			continue
		case word == "router", word == "route-map":
			to = "bgpd"
		case word == "bfd":
			to = "bfdd"
		case word == "ip", word == "ipv6":
			to = "zebra"
		}
		out[to] += line
	}
	return out
}

// Vtysh runs commands and returns their output.
func (r *Router) Vtysh(ctx context.Context, commands ...string) (string, error) {
	args := []string{"netns", "exec", r.netns, "vtysh", "--vty_socket", r.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput() //nolint:gosec // a command in a namespace of the tests
	if err != nil {
		err = fmt.Errorf("vtysh %s: %w: %s", strings.Join(commands, "; "), err, out)
	}
	return string(out), err
}

// Configure changes the running configuration.
func (r *Router) Configure(ctx context.Context, lines ...string) error {
	_, err := r.Vtysh(ctx, append([]string{"configure terminal"}, lines...)...)
	return err
}

// Show runs a show command and reads its answer into a value.
func (r *Router) Show(ctx context.Context, command string, into any) error {
	out, err := r.Vtysh(ctx, command+" json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

// PID returns the process of a daemon: "zebra", "bgpd" or "bfdd".
func (r *Router) PID(name string) int { return r.daemons[name].cmd.Process.Pid }

// Signal sends a signal to a daemon.
func (r *Router) Signal(name string, sig syscall.Signal) error {
	d := r.daemons[name]
	if d == nil {
		return errors.New("signal " + name + ": no such daemon")
	}
	return d.cmd.Process.Signal(sig)
}

// Said returns the end of what the daemons have printed.
func (r *Router) Said() string {
	var b strings.Builder
	for _, name := range order() {
		if d := r.daemons[name]; d != nil {
			fmt.Fprintf(&b, "%s:\n%s\n", name, d.out.tail(4000))
		}
	}
	return b.String()
}
