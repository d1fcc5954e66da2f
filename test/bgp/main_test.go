// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// roleEnv makes the test binary play the speaker instead of running tests: the speaker must be
// a process of its own in its namespace, and one that can be killed.
const roleEnv = "CLARION_TEST_SPEAKER"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		if err := speak(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// segment is a LAN: a namespace with a bridge, and hosts that hang on it. Cutting a host at the
// bridge is silent for the others: their links keep their carrier.
type segment struct {
	t      *testing.T
	prefix string
	dir    string
}

var segments atomic.Int32

// newSegment builds the LAN, or fails the test when this machine cannot.
func newSegment(t *testing.T) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run the tests as root")
	}
	if err := frr.Installed(); err != nil {
		t.Fatal(err)
	}
	s := &segment{t: t, prefix: fmt.Sprintf("cb%d-%d-", os.Getpid(), segments.Add(1)), dir: t.TempDir()}
	s.lan("lan")
	return s
}

func (s *segment) ns(host string) string { return s.prefix + host }

// namespace adds an empty host and removes it at the end of the test.
func (s *segment) namespace(host string) {
	s.must("ip", "netns", "add", s.ns(host))
	s.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.ns(host)).Run() })
	s.must("ip", "-n", s.ns(host), "link", "set", "lo", "up")
}

// host adds a host to the LAN with its addresses on eth0.
func (s *segment) host(name string, addrs ...string) {
	s.t.Helper()
	s.namespace(name)
	s.attach("lan", "br0", name, "eth0", addrs...)
}

// attach links a host to a bridge in another namespace.
func (s *segment) attach(lan, bridge, name, dev string, addrs ...string) {
	s.t.Helper()
	port := "p-" + name + dev[len(dev)-1:]
	s.must("ip", "-n", s.ns(lan), "link", "add", port, "type", "veth", "peer", "name", dev, "netns", s.ns(name))
	s.must("ip", "-n", s.ns(lan), "link", "set", port, "master", bridge, "up")
	for _, a := range addrs {
		args := []string{"-n", s.ns(name), "addr", "add", a, "dev", dev}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		s.must("ip", args...)
	}
	s.must("ip", "netns", "exec", s.ns(name), "sysctl", "-qw", "net.ipv6.conf."+dev+".accept_dad=0")
	s.must("ip", "-n", s.ns(name), "link", "set", dev, "up")
}

// The addresses of r behind twoHops.
const far4, far6 = "198.51.100.2", "2001:db8:1::2"

// twoHops puts the hosts s, with ours4 and ours6, and r, with far4 and far6, on two networks with
// a router between them.
func (s *segment) twoHops() {
	s.lan("far")
	s.host("s", ours4+"/24", ours6+"/64")
	s.host("hop", "192.0.2.254/24", "2001:db8::fe/64")
	s.attach("far", "br0", "hop", "eth1", "198.51.100.254/24", "2001:db8:1::fe/64")
	s.in("hop", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	s.namespace("r")
	s.attach("far", "br0", "r", "eth0", far4+"/24", far6+"/64")
	for host, via := range map[string][2]string{"s": {"192.0.2.254", "2001:db8::fe"}, "r": {"198.51.100.254", "2001:db8:1::fe"}} {
		s.in(host, "ip", "route", "add", "default", "via", via[0])
		s.in(host, "ip", "-6", "route", "add", "default", "via", via[1])
	}
}

// lan adds a namespace with a bridge.
func (s *segment) lan(name string) {
	s.namespace(name)
	s.must("ip", "-n", s.ns(name), "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	s.must("ip", "-n", s.ns(name), "link", "set", "br0", "up")
}

// cut takes a host off the LAN; its neighbours see no loss of carrier.
func (s *segment) cut(name string) {
	s.must("ip", "-n", s.ns("lan"), "link", "set", "p-"+name+"0", "down")
}
func (s *segment) heal(name string) {
	s.must("ip", "-n", s.ns("lan"), "link", "set", "p-"+name+"0", "up")
}

// in runs a command in the namespace of a host and returns its output.
func (s *segment) in(host string, args ...string) string {
	s.t.Helper()
	return s.must("ip", append([]string{"netns", "exec", s.ns(host)}, args...)...)
}

func (s *segment) must(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// process is something that runs in the namespace of a host until the test ends.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// start runs a program in the namespace of a host.
func (s *segment) start(host string, prepare func(*exec.Cmd), args ...string) *process {
	s.t.Helper()
	p := &process{cmd: exec.Command("ip", append([]string{"netns", "exec", s.ns(host)}, args...)...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = time.Second // for grandchildren that keep the output open
	if prepare != nil {
		prepare(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", strings.Join(args, " "), err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() && p.out.Len() > 0 {
			s.t.Logf("%s said:\n%s", args[0], tail(p.out.String(), 4000))
		}
	})
	return p
}

// kill ends the process as a crash would; `ip netns exec` has replaced itself by the program.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// eventually waits until check returns "", and fails with its last answer.
func eventually(t *testing.T, within time.Duration, check func() string) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		problem := check()
		took := time.Since(start)
		if problem == "" {
			return took
		}
		if took > within {
			t.Fatalf("after %s: %s", took.Round(time.Millisecond), problem)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// always fails when check returns something within the time.
func always(t *testing.T, during time.Duration, check func() string) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if problem := check(); problem != "" {
			t.Fatal(problem)
		}
	}
}

func contains(s, part string) bool { return strings.Contains(s, part) }

// command runs a program outside the test's goroutine.
func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return string(out), err
}
