// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// frr is FRR's zebra, bgpd and bfdd in the namespace of a host.
type frr struct {
	s       *segment
	host    string
	dir     string
	daemons map[string]*process
}

// startFRR runs FRR with a configuration.
func (s *segment) startFRR(host, config string) *frr {
	s.t.Helper()
	f := &frr{s: s, host: host, dir: filepath.Join(s.dir, host), daemons: map[string]*process{}}
	// Written by daemons that have dropped root, so everybody must reach it.
	for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		s.t.Fatal(err)
	}
	_ = os.Chmod(f.dir, 0o777)
	configs := split(config)
	for _, daemon := range []string{"zebra", "bfdd", "bgpd"} {
		file := filepath.Join(f.dir, daemon+".conf")
		if err := os.WriteFile(file, []byte(configs[daemon]), 0o644); err != nil {
			s.t.Fatal(err)
		}
		args := []string{filepath.Join(frrDir, daemon), "-f", file, "--vty_socket", f.dir, "-i", filepath.Join(f.dir, daemon+".pid"),
			"-z", filepath.Join(f.dir, "zserv.api"), "-P", "0", "--log", "stdout"}
		if daemon == "bfdd" {
			args = append(args, "--bfdctl", filepath.Join(f.dir, "bfdd.sock"))
		}
		f.daemons[daemon] = s.start(host, nil, args...)
		eventually(s.t, 10*time.Second, func() string {
			if _, err := os.Stat(filepath.Join(f.dir, daemon+".vty")); err != nil {
				return daemon + " does not listen: " + err.Error() + f.daemons[daemon].out.String()
			}
			return ""
		})
	}
	return f
}

// split gives each daemon its part of a configuration: it stops reading at what it does not know.
func split(config string) map[string]string {
	out := map[string]string{}
	daemon := ""
	for line := range strings.Lines(config) {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case strings.HasPrefix(line, " "):
		case word == "router":
			daemon = "bgpd"
		case word == "bfd":
			daemon = "bfdd"
		case word == "ip":
			daemon = "zebra"
		}
		out[daemon] += line
	}
	return out
}

// vtysh runs commands and returns their output.
func (f *frr) vtysh(commands ...string) string {
	args := []string{"netns", "exec", f.s.ns(f.host), "vtysh", "--vty_socket", f.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, _ := exec.Command("ip", args...).CombinedOutput()
	return string(out)
}

// configure changes the running configuration.
func (f *frr) configure(lines ...string) {
	f.vtysh(append([]string{"configure terminal"}, lines...)...)
}

// json runs a show command and reads its answer.
func (f *frr) json(command string, into any) string {
	out := f.vtysh(command + " json")
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return command + ": " + err.Error() + ": " + out
	}
	return ""
}

func (f *frr) stop(daemon string)   { f.signal(daemon, syscall.SIGSTOP) }
func (f *frr) resume(daemon string) { f.signal(daemon, syscall.SIGCONT) }

func (f *frr) signal(daemon string, sig syscall.Signal) {
	if err := f.daemons[daemon].cmd.Process.Signal(sig); err != nil {
		f.s.t.Fatal(err)
	}
}

// bfdPeer is what `show bfd peers` says of a session.
type bfdPeer struct {
	Peer, Status, Diagnostic, RemoteDiagnostic string
	Multihop                                   bool
	RemoteReceiveInterval                      int `json:"remote-receive-interval"`
	RemoteTransmitInterval                     int `json:"remote-transmit-interval"`
	RemoteEcho                                 int `json:"remote-echo-receive-interval"`
}

func (f *frr) bfdPeers() []bfdPeer {
	var peers []bfdPeer
	f.json("show bfd peers", &peers)
	return peers
}

// bfdStatus returns the status of FRR's session with a peer, "" when there is none.
func (f *frr) bfdStatus(peer string) string {
	for _, p := range f.bfdPeers() {
		if strings.EqualFold(p.Peer, peer) {
			return p.Status
		}
	}
	return ""
}
