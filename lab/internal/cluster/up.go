// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Report receives one line per finished step.
type Report func(format string, args ...any)

// CheckFree reports whether a lab of this name is there already, whole or in
// part. The caller holds the lock.
func CheckFree(d state.Dir, c state.Config) error {
	if d.Exists() {
		return fmt.Errorf("%s exists: the lab %q is up, or a start was cut short; `lab down` removes it", d.Path(), c.Name)
	}
	names, err := host.ListNetns(c.Netns(""))
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("namespaces %v are left from another lab %q; `lab down` removes them", names, c.Name)
	}
	return err
}

// Up builds the lab described by c and returns when every node is Ready and
// every kube-proxy has written its rules. The caller holds the lock and has
// called CheckFree.
func Up(ctx context.Context, d state.Dir, c state.Config, say Report) error {
	if err := d.Create(); err != nil {
		return err
	}
	if err := d.Save(c); err != nil { // first, so that even a failed lab can be looked at
		return err
	}
	if err := buildNetwork(&c); err != nil {
		return err
	}
	if err := d.Save(c); err != nil {
		return err
	}
	say("network: %d nodes, client, router and control plane on one LAN", c.Nodes)
	if err := issueIdentities(c, d); err != nil {
		return err
	}
	if err := prepareRuntime(c, d); err != nil {
		return err
	}
	if err := startControlPlane(ctx, c, d, say); err != nil {
		return err
	}
	for _, n := range c.NodeNames() {
		if err := startNode(ctx, c, d, n); err != nil {
			return err
		}
	}
	return awaitNodes(ctx, c, d, say)
}

func buildNetwork(c *state.Config) error {
	if err := host.CreateLAN(c.Lab); err != nil {
		return fmt.Errorf("build network: %w", err)
	}
	for _, h := range c.Hosts() {
		if err := host.CreateHost(c.Lab, h); err != nil {
			return fmt.Errorf("build network: host %s: %w", h, err)
		}
	}
	addr, err := host.CreateHostLink(c.Lab)
	if err != nil {
		return fmt.Errorf("build network: %w", err)
	}
	c.APIHost = addr.String()
	return nil
}

func startControlPlane(ctx context.Context, c state.Config, d state.Dir, say Report) error {
	for _, name := range []string{Etcd, APIServer} {
		comp, err := start(c, d, topo.CP, name)
		if err != nil {
			return err
		}
		if err := awaitAnswers(ctx, c, d, comp); err != nil {
			return err
		}
		say("%s is ready", command(c, d, topo.CP, name)[0])
	}
	for _, name := range []string{Manager, Scheduler} {
		if _, err := start(c, d, topo.CP, name); err != nil {
			return err
		}
	}
	return nil
}

// awaitAnswers returns when the component answers, if it is one that all the
// others need, and at once if it is another.
func awaitAnswers(ctx context.Context, c state.Config, d state.Dir, comp state.Component) error {
	switch comp.Name {
	case Etcd:
		return await(ctx, comp, time.Minute, func() error { return get(ctx, c.Netns(topo.CP), "http://127.0.0.1:2379/health") })
	case APIServer:
		client, err := Client(d)
		if err != nil {
			return err
		}
		return await(ctx, comp, 2*time.Minute, func() error {
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		})
	}
	return nil
}

// startNode starts what runs on a node; its network must exist.
func startNode(ctx context.Context, c state.Config, d state.Dir, node string) error {
	for _, name := range nodeComponents(c) {
		comp, err := start(c, d, node, name)
		if err != nil {
			return err
		}
		if name != Runtime {
			continue
		}
		// A kubelet ends when its runtime does not answer at once.
		if err := await(ctx, comp, time.Minute, func() error { return realnode.Answers(ctx, d, node) }); err != nil {
			return err
		}
		if err := realnode.Import(ctx, d, node, d.Path(baseImage)); err != nil {
			return err
		}
	}
	return nil
}

func awaitNodes(ctx context.Context, c state.Config, d state.Dir, say Report) error {
	client, err := Client(d)
	if err != nil {
		return err
	}
	for _, n := range c.NodeNames() {
		kubelet, err := d.Component(n, Kubelet)
		if err != nil {
			return err
		}
		if err := await(ctx, kubelet, time.Minute, func() error { return nodeReady(ctx, client, n) }); err != nil {
			return err
		}
		if err := awaitProxy(ctx, c, d, n); err != nil {
			return err
		}
		say("node %s is Ready, kube-proxy (%s) has written its rules", n, c.ProxyMode)
	}
	for _, name := range []string{Manager, Scheduler} {
		comp, err := d.Component(topo.CP, name)
		if err != nil {
			return err
		}
		if err := await(ctx, comp, time.Minute, func() error { return serviceAccountReady(ctx, client) }); err != nil {
			return err
		}
	}
	say("kube-controller-manager and kube-scheduler are at work")
	return nil
}

// awaitProxy waits until kube-proxy has written its rules.
func awaitProxy(ctx context.Context, c state.Config, d state.Dir, node string) error {
	proxy, err := d.Component(node, Proxy)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://localhost:%d/healthz", proxyHealthPort)
	return await(ctx, proxy, time.Minute, func() error { return get(ctx, c.Netns(node), url) })
}

func nodeReady(ctx context.Context, client kubernetes.Interface, name string) error {
	n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not Ready", name)
}

// serviceAccountReady is the sign that the controller manager works: before
// it, no pod can be created or started.
func serviceAccountReady(ctx context.Context, client kubernetes.Interface) error {
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return err
}

// Client returns a client with the administrator's rights.
func Client(d state.Dir) (*kubernetes.Clientset, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", d.Path("kube", "admin"))
	if err != nil {
		return nil, fmt.Errorf("read the lab's kubeconfig: %w", err)
	}
	rc.QPS = -1
	rc.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return client, nil
}

// get fetches a health page from inside a namespace.
func get(ctx context.Context, netns, url string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			// localhost is dialled by address, one family after the other,
			// because a dialer's own attempts would run on other threads.
			_, port, _ := net.SplitHostPort(addr)
			for _, ip := range []string{"127.0.0.1", "::1"} {
				err = host.Do(netns, func() (err error) {
					conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(ip, port))
					return err
				})
				if err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return nil
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func Kubeconfig(d state.Dir) (string, error) {
	path := d.Path("kube", "admin")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no kubeconfig: is the lab up? %w", err)
	}
	return path, nil
}
