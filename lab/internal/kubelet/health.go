// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// health runs a container's probes until ctx ends, which is when its process
// does. The kubelet is in the node's namespace, so it asks as a real one does.
func (c *container) health(ctx context.Context) {
	if p := c.spec.StartupProbe; p != nil {
		if !c.startup(ctx, p) {
			return
		}
	}
	var wg sync.WaitGroup
	if p := c.spec.ReadinessProbe; p != nil {
		wg.Go(func() { c.watchProbe(ctx, p, c.setReady) })
	}
	if p := c.spec.LivenessProbe; p != nil {
		wg.Go(func() {
			c.watchProbe(ctx, p, func(ok bool) {
				if !ok {
					c.unhealthy("liveness", p)
				}
			})
		})
	}
	wg.Wait()
}

// startup waits for the startup probe's first success.
func (c *container) startup(ctx context.Context, p *corev1.Probe) bool {
	started := make(chan struct{})
	probing, stop := context.WithCancel(ctx)
	defer stop()
	go c.watchProbe(probing, p, func(ok bool) {
		if ok {
			stop()
			close(started)
		} else {
			c.unhealthy("startup", p)
		}
	})
	select {
	case <-ctx.Done():
		return false
	case <-started:
	}
	c.mu.Lock()
	yes := true
	c.status.Started = &yes
	c.status.Ready = c.spec.ReadinessProbe == nil
	c.mu.Unlock()
	c.pp.again()
	return true
}

func (c *container) setReady(ok bool) {
	c.mu.Lock()
	changed := c.status.Ready != ok && c.status.State.Running != nil
	if changed {
		c.status.Ready = ok
	}
	c.mu.Unlock()
	if changed {
		c.pp.again()
	}
}

// unhealthy ends a container that a probe has given up; run starts it again.
func (c *container) unhealthy(kind string, p *corev1.Probe) {
	grace := 30 * time.Second
	if s := c.pp.current().Spec.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	if s := p.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	c.pp.k.log.Info("probe gave up, restart container", "pod", c.pp.pod.Name, "container", c.spec.Name, "probe", kind)
	c.kill(grace)
}

// watchProbe calls verdict each time a threshold is reached.
func (c *container) watchProbe(ctx context.Context, p *corev1.Probe, verdict func(ok bool)) {
	if !sleep(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) {
		return
	}
	period, timeout := seconds(p.PeriodSeconds, 10), seconds(p.TimeoutSeconds, 1)
	good, bad := int32(0), int32(0)
	for {
		err := c.ask(ctx, p, timeout)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		if good >= max(p.SuccessThreshold, 1) {
			verdict(true)
		}
		if bad >= max(p.FailureThreshold, 1) {
			verdict(false)
		}
		if !sleep(ctx, period) {
			return
		}
	}
}

// ask asks once. Kinds of probes that the lab does not have always succeed.
func (c *container) ask(ctx context.Context, p *corev1.Probe, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case p.HTTPGet != nil:
		return c.askHTTP(ctx, p.HTTPGet)
	case p.TCPSocket != nil:
		addr, err := c.target(p.TCPSocket.Host, p.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return nil
}

func (c *container) askHTTP(ctx context.Context, g *corev1.HTTPGetAction) error {
	addr, err := c.target(g.Host, g.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if g.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+addr+g.Path, nil)
	if err != nil {
		return err
	}
	for _, h := range g.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // kubelets do not verify a probe's certificate
	}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("probe %s: %s", req.URL, resp.Status)
	}
	return nil
}

// target returns where a probe goes: the pod's own address unless the probe
// names another.
func (c *container) target(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = c.pp.ips[0].String()
	}
	number := port.IntValue()
	if port.Type == intstr.String && number == 0 {
		for _, p := range c.spec.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number == 0 {
		return "", fmt.Errorf("no port %s in container %s", port.String(), c.spec.Name)
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}

func seconds(n, def int32) time.Duration {
	if n <= 0 {
		n = def
	}
	return time.Duration(n) * time.Second
}
