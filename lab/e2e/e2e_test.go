// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

//go:build lab

// Package e2e runs the built lab program as a user does: up, look, break,
// repair, down. It needs root and the Debian packages of the lab, and a built
// program: ../../bin/lab or $LAB.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const name = "labtest"

// lab is the program under test with the name of its lab.
type lab struct {
	t       *testing.T
	program string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	program := os.Getenv("LAB")
	if program == "" {
		program = "../../bin/lab"
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, program: program}
	l.run("down")
	t.Cleanup(func() { l.run("down") })
	return l
}

// try runs one command and returns what it printed.
func (l *lab) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "CLARION_LAB_NAME="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (l *lab) run(args ...string) string {
	l.t.Helper()
	out, err := l.try(args...)
	if err != nil {
		l.t.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// eventually asks until the answer contains want.
func (l *lab) eventually(want string, args ...string) string {
	l.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		out, err := l.try(args...)
		if err == nil && strings.Contains(out, want) {
			return out
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("lab %s: no %q after 40 s: %v\n%s", strings.Join(args, " "), want, err, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// nothingLeft fails if any trace of the lab is on the machine.
func (l *lab) nothingLeft() {
	l.t.Helper()
	for _, pattern := range []string{"/run/netns/" + name + "-*", "/run/clarion-lab/" + name, "/sys/class/net/lab-" + name} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			l.t.Errorf("left behind: %v", found)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		l.t.Fatal(err)
	}
	if strings.Contains(string(mounts), "/"+name) {
		l.t.Errorf("mounts are left behind:\n%s", mounts)
	}
	cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range cmdlines {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "clarion-lab/"+name) {
			l.t.Errorf("process is left behind: %s %q", f, b)
		}
	}
}

func buildAgent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build agent: %v\n%s", err, out)
	}
	return path
}

func TestLabLife(t *testing.T) {
	agent := buildAgent(t)
	l := newLab(t)
	t.Log(l.run("up", "--nodes", "1", "--restart-delay", "3s", "--controller", agent, "--speaker", agent))
	if out, err := l.try("up", "--nodes", "1"); err == nil {
		t.Errorf("a second up of the same lab succeeded:\n%s", out)
	}
	// Somebody else's namespace, made while the lab is up, must not get in the
	// way of down, nor be touched by it.
	const other = "other-than-" + name
	if out, err := exec.Command("ip", "netns", "add", other).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v\n%s", err, out)
	}
	defer func() {
		if out, err := exec.Command("ip", "netns", "del", other).CombinedOutput(); err != nil {
			t.Errorf("ip netns del: %v\n%s", err, out)
		}
	}()
	t.Run("played pods answer", l.playedPods)
	t.Run("process pods have what their manifest says", l.processPods)
	t.Run("probe measures a cut", l.probe)
	t.Run("components die and come back", l.components)
	t.Run("partition and heal", l.partition)
	t.Run("power cycle", l.power)
	l.t = t
	l.run("down")
	l.nothingLeft()
	l.run("down")
}

func (l *lab) playedPods(t *testing.T) {
	l.t = t
	l.run("kubectl", "apply", "-f", "testdata/web.yaml")
	l.run("kubectl", "rollout", "status", "deployment/web", "--timeout=40s")
	page := l.eventually("It works", "exec", "client", "--", "curl", "-s", "-m", "2", "http://192.168.100.11:30080/")
	if !strings.Contains(page, "default/web-") || !strings.Contains(page, "n1") {
		t.Errorf("the page does not name its pod and node:\n%s", page)
	}
	// The annotation takes the pod out of the Service and puts it back.
	l.run("kubectl", "annotate", "pod", "-l", "app=web", "lab.clarion/ready=false")
	l.eventually("false", "kubectl", "get", "endpointslices", "-l", "kubernetes.io/service-name=web",
		"-o", "jsonpath={.items[*].endpoints[*].conditions.ready}")
	l.run("kubectl", "annotate", "pod", "-l", "app=web", "lab.clarion/ready-")
	l.eventually("true", "kubectl", "get", "endpointslices", "-l", "kubernetes.io/service-name=web",
		"-o", "jsonpath={.items[*].endpoints[*].conditions.ready}")
}

// ask returns what the agent behind an address says of itself.
func (l *lab) ask(addr string) map[string]string {
	l.t.Helper()
	out := l.eventually("list.secrets", "exec", "n1", "--", "curl", "-s", "-m", "10", "http://"+addr+":7472/")
	var me map[string]string
	if err := json.Unmarshal([]byte(out), &me); err != nil {
		l.t.Fatalf("%v in %s", err, out)
	}
	return me
}

func (l *lab) processPods(t *testing.T) {
	l.t = t
	l.run("kubectl", "apply", "-f", "testdata/agent.yaml")
	system := []string{"kubectl", "-n", "metallb-system"}
	l.run(append(system, "rollout", "status", "daemonset/speaker", "--timeout=40s")...)
	l.run(append(system, "rollout", "status", "deployment/controller", "--timeout=40s")...)
	for key, want := range map[string]string{
		"uid": "0", "CapEff": "0000000000002000", "CapBnd": "0000000000002000", "NoNewPrivs": "1", "hostname": "n1",
		"env.NODE": "n1", "env.HOST_IP": "192.168.100.11", "env.KEY": "hush",
		"list.configmaps": "200 OK", "list.secrets": "403 Forbidden", "write": "open /written: read-only file system",
	} {
		if got := l.ask("192.168.100.11")[key]; got != want {
			t.Errorf("speaker: %s is %q, want %q", key, got, want)
		}
	}
	ip := strings.TrimSpace(l.run(append(system, "get", "pod", "-l", "component=controller", "-o", "jsonpath={.items[0].status.podIP}")...))
	for key, want := range map[string]string{"uid": "65534", "CapEff": "0000000000000000", "links": "lo eth0", "list.configmaps": "200 OK"} {
		if got := l.ask(ip)[key]; got != want {
			t.Errorf("controller: %s is %q, want %q", key, got, want)
		}
	}
	// A config map that appears becomes a file, and the readiness probe sees it.
	ready := append(system, "get", "pod", "-l", "component=speaker", "-o", "jsonpath=ready:{.items[0].status.containerStatuses[0].ready}")
	l.run(append(system, "create", "configmap", "speaker-config", "--from-literal=unready=1")...)
	l.eventually("ready:false", ready...)
	l.run(append(system, "delete", "configmap", "speaker-config")...)
	l.eventually("ready:true", ready...)
	if out := l.run(append(system, "logs", "daemonset/speaker")...); !strings.Contains(out, "agent: started, user 0") {
		t.Errorf("kubectl logs: %s", out)
	}
}

func (l *lab) probe(t *testing.T) {
	l.t = t
	done := make(chan string)
	go func() {
		out, err := exec.Command(l.program, "--name", name, "probe", "192.168.100.11:30090", "--duration", "4s").Output()
		if err != nil {
			out = []byte(err.Error())
		}
		done <- string(out)
	}()
	time.Sleep(1500 * time.Millisecond)
	l.run("fault", "link-down", "n1")
	time.Sleep(500 * time.Millisecond)
	l.run("fault", "link-up", "n1")
	out := <-done
	var report struct {
		Sent, Lost int
		Gaps       []struct {
			MS   float64
			Lost int
		}
		Answers []struct{ Node string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(report.Answers) != 1 || report.Answers[0].Node != "n1" {
		t.Errorf("answers from %v, want one pod on n1", report.Answers)
	}
	longest := 0.0
	for _, g := range report.Gaps {
		longest = max(longest, g.MS)
	}
	if longest < 450 || report.Lost < 10 {
		t.Errorf("the cut of half a second was not seen:\n%s", out)
	}
}

func (l *lab) components(t *testing.T) {
	l.t = t
	state := []string{"kubectl", "-n", "metallb-system", "get", "pod", "-l", "component=speaker", "-o",
		"jsonpath={.items[0].status.containerStatuses[0].restartCount} {.items[0].status.containerStatuses[0].state}"}
	l.run("fault", "kill", "n1", "speaker")
	l.eventually("CrashLoopBackOff", state...)
	l.eventually("1 {\"running\"", state...)
	if out, err := l.try("fault", "kill", "n1", "no-such-thing"); err == nil || !strings.Contains(out, "speaker") {
		t.Errorf("a fault that hits nothing must fail and say what there is: %v\n%s", err, out)
	}
	for _, c := range [][2]string{{"n1", "kubelet"}, {"n1", "kube-proxy"}, {"n1", "pods"}, {"cp", "apiserver"}} {
		l.run("fault", "kill", c[0], c[1])
		l.eventually(c[1]+"(dead)", "status")
		l.run("fault", "start", c[0], c[1])
	}
	// The new kubelet has taken over the speaker it did not start, the new
	// workload process plays the pod it was not told of.
	l.eventually("1 {\"running\"", state...)
	l.eventually("It works", "exec", "client", "--", "curl", "-s", "-m", "2", "http://192.168.100.11:30080/")
	l.run("fault", "stop", "n1", "speaker")
	l.eventually("speaker(stopped)", "status")
	l.run("fault", "cont", "n1", "speaker")
	l.run("fault", "term", "n1", "speaker")
	l.eventually("2 {\"running\"", state...)
}

func (l *lab) partition(t *testing.T) {
	l.t = t
	ping := []string{"exec", "client", "--", "ping", "-c", "1", "-W", "1", "192.168.100.11"}
	l.run("fault", "partition", "client", "n1", "--one-way", "--port", "7946")
	l.run(ping...)
	l.run("fault", "partition", "client", "n1")
	if out, err := l.try(ping...); err == nil {
		t.Errorf("a ping crosses the partition:\n%s", out)
	}
	l.run("fault", "heal")
	l.run(ping...)
}

func (l *lab) power(t *testing.T) {
	l.t = t
	l.run("fault", "power-off", "n1")
	if out, err := l.try("exec", "n1", "true"); err == nil {
		t.Errorf("a node that is off runs commands:\n%s", out)
	}
	if found, _ := filepath.Glob(fmt.Sprintf("/run/netns/%s-[np]1*", name)); len(found) > 0 {
		t.Errorf("a node that is off has namespaces: %v", found)
	}
	l.run("fault", "power-on", "n1")
	l.eventually("It works", "exec", "client", "--", "curl", "-s", "-m", "2", "http://192.168.100.11:30080/")
	l.eventually("list.secrets", "exec", "n1", "--", "curl", "-s", "-m", "10", "http://192.168.100.11:7472/")
}

func TestDownAfterACrash(t *testing.T) {
	l := newLab(t)
	cmd := exec.Command(l.program, "--name", name, "up", "--nodes", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Kill it when the API server's start has been recorded: in the middle.
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat("/run/clarion-lab/" + name + "/procs/cp.apiserver"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the API server was not started within 30 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if out, err := l.try("up", "--nodes", "1"); err == nil || !strings.Contains(out, "lab down") {
		t.Errorf("up over the remains must fail and name the cure: %v\n%s", err, out)
	}
	l.run("down")
	l.nothingLeft()
}
