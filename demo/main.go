// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo runs Clarion's main job on a lab cluster and shows each step with its time: a
// Service gets its address, a client outside the cluster reaches it, the node that owns the
// address dies, and the traffic comes back. It exits with 0 only if every step was seen to work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// patience bounds each wait. The times that are shown are far shorter.
const patience = 30 * time.Second

// objects is what a user applies.
const objects = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: first-pool
  namespace: metallb-system
spec:
  addresses: [192.168.100.200-192.168.100.220]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  name: example
  namespace: metallb-system
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-metallb
spec:
  replicas: 1
  selector: {matchLabels: {app: nginx-metallb}}
  template:
    metadata: {labels: {app: nginx-metallb}}
    spec:
      containers:
      - name: nginx
        image: nginx
        ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata:
  name: nginx-metallb
spec:
  type: LoadBalancer
  selector: {app: nginx-metallb}
  ports:
  - {name: web, port: 8090, targetPort: 80}
  - {name: echo, port: 8090, targetPort: 80, protocol: UDP}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := flag.Bool("keep", false, "install Clarion on a lab cluster and leave it running")
	flag.Parse()
	if err := run(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) (err error) {
	lab, err := labctl.Open("", os.Stdout) // the lab's own default name, so that `lab status` finds it
	if err != nil {
		return err
	}
	d := &demo{lab: lab, begin: time.Now()}
	if err := lab.Down(ctx); err != nil {
		return err
	}
	if !keep {
		defer func() {
			d.say("Cleaning up")
			err = errors.Join(err, lab.Down(context.WithoutCancel(ctx)))
			if err == nil {
				d.say("Done: every step was seen to work")
			}
		}()
	}
	if err := d.install(ctx); err != nil || keep {
		if keep && err == nil {
			fmt.Print(playing)
		}
		return err
	}
	return d.mainJob(ctx)
}

const playing = `
The cluster is yours:
  bin/lab status                      hosts, addresses, processes
  bin/lab kubectl -- get nodes        kubectl as administrator
  bin/lab exec client -- curl ...     a host on the LAN that is no node
  bin/lab fault power-off n1          break something; bin/lab fault --help
  make lab-down                       remove everything
`

// demo is one run. Every step says what it does and when.
type demo struct {
	lab   labctl.Lab
	begin time.Time
}

func (d *demo) say(format string, args ...any) {
	fmt.Printf("\n[%5.1fs] == %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) install(ctx context.Context) error {
	d.say("Starting a Kubernetes cluster with 3 nodes")
	bin := filepath.Join(d.lab.Root, "bin")
	if err := d.lab.Up(ctx, labctl.Options{
		Nodes: 3, Controller: filepath.Join(bin, "controller"), Speaker: filepath.Join(bin, "speaker"),
	}); err != nil {
		return err
	}
	d.say("Installing Clarion: kubectl apply -k config/native")
	if err := d.lab.Install(ctx); err != nil {
		return err
	}
	return d.show(ctx, "-n", labctl.Namespace, "get", "pods", "-o", "wide")
}

func (d *demo) mainJob(ctx context.Context) error {
	d.say("Applying an IPAddressPool, an L2Advertisement, a Deployment and a Service")
	applied := time.Now()
	if err := d.lab.Apply(ctx, objects); err != nil {
		return err
	}
	addr, err := d.lab.Address(ctx, "default", "nginx-metallb", patience)
	if err != nil {
		return err
	}
	d.say("The Service has its EXTERNAL-IP %s, %s after kubectl apply began", addr, since(applied))
	if err := d.show(ctx, "get", "svc", "nginx-metallb"); err != nil {
		return err
	}
	target := addr + ":8090"
	if err := d.curl(ctx, target); err != nil {
		return err
	}
	before, err := d.lab.Owner(ctx, addr, patience)
	if err != nil {
		return err
	}
	if err := d.keepPodAlive(ctx, before, target); err != nil {
		return err
	}
	d.say("Node %s owns %s and answers for it on the LAN. Cutting its power while the client asks every 10 ms", before, addr)
	outage, err := d.lab.Watch(ctx, target, 3*time.Second, func() error { return d.lab.Fault(ctx, "power-off", before) })
	if err != nil {
		return err
	}
	after, err := d.lab.Owner(ctx, addr, patience)
	if err != nil {
		return err
	}
	if err := judge(outage, before, after); err != nil {
		return err
	}
	d.say("The client was without answers for %.0f ms (%d of %d questions lost). Node %s owns %s now",
		outage.LongestGapMS, outage.Lost, outage.Sent, after, addr)
	return d.curl(ctx, target)
}

// curl shows that a client outside the cluster gets the page.
func (d *demo) curl(ctx context.Context, target string) error {
	d.say("From the client, a host that is no node: curl http://%s", target)
	return labctl.Eventually(ctx, patience, func(ctx context.Context) error {
		page, err := d.page(ctx, target)
		if err == nil && !strings.Contains(page, "nginx-metallb") {
			err = fmt.Errorf("unexpected page %q", page)
		}
		if err == nil {
			fmt.Println(strings.TrimSpace(page))
		}
		return err
	})
}

func (d *demo) page(ctx context.Context, target string) (string, error) {
	return d.lab.Exec(ctx, "client", "curl", "-sS", "--fail", "--max-time", "2", "http://"+target)
}

// keepPodAlive moves the one pod off the node that is about to die: what is to be seen is
// the move of the address, and Kubernetes needs most of a minute to replace a dead pod.
func (d *demo) keepPodAlive(ctx context.Context, node, target string) error {
	where := func(ctx context.Context) (string, error) {
		return d.lab.Kubectl(ctx, "get", "pods", "-l", "app=nginx-metallb", "-o", "jsonpath={.items[*].spec.nodeName}")
	}
	now, err := where(ctx)
	if err != nil || now != node {
		return err
	}
	d.say("Moving the pod off node %s: the address is to move, not the pod", node)
	if _, err := d.lab.Kubectl(ctx, "cordon", node); err != nil {
		return err
	}
	if _, err := d.lab.Kubectl(ctx, "delete", "pod", "-l", "app=nginx-metallb", "--wait=true"); err != nil {
		return err
	}
	// The new pod runs, and the kube-proxies have learnt of it, when it is the one that answers.
	return labctl.Eventually(ctx, patience, func(ctx context.Context) error {
		if now, err = where(ctx); err != nil {
			return err
		}
		page, err := d.page(ctx, target)
		if err == nil && (now == "" || strings.Contains(now, node) || !strings.Contains(page, "node:   "+now)) {
			err = fmt.Errorf("the pod is on %q and the page says %q, want another node than %s", now, page, node)
		}
		return err
	})
}

func (d *demo) show(ctx context.Context, args ...string) error {
	fmt.Println("$ kubectl", strings.Join(args, " "))
	out, err := d.lab.Kubectl(ctx, args...)
	fmt.Print(out)
	return err
}

// judge says whether the outage was seen, has ended, and moved the address.
func judge(o labctl.Outage, before, after string) error {
	switch {
	case after == before:
		return fmt.Errorf("node %s is dead and still answers", before)
	case o.Lost == 0 || o.LongestGapMS == 0:
		return errors.New("the client saw no outage: nothing was measured")
	}
	for _, g := range o.Gaps {
		if g.Open {
			return errors.New("the address did not come back")
		}
	}
	return nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }
