// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package workload plays the pods that only have to answer: in a node's pod
// namespace, one process serves every declared port of every such pod, with
// the pod's own address. TCP ports speak HTTP, UDP ports echo; both say which
// pod on which node answers and which client address it sees. Which pods there
// are is decided by the kubelet; this is a process of its own so that pods
// outlive their kubelet, as they do in a real cluster.
package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Pod is one pod to play.
type Pod struct {
	Name  string       `json:"name"` // namespace/name
	Node  string       `json:"node"`
	Addrs []netip.Addr `json:"addrs"`
	Ports []Port       `json:"ports"`
}

// Port is one declared container port.
type Port struct {
	Proto  string `json:"proto"` // "tcp" or "udp"
	Number uint16 `json:"number"`
}

// Answer is what a pod says: the first line of a UDP reply as JSON, and the
// X-Lab-Pod, X-Lab-Node and X-Lab-Client headers of an HTTP reply.
type Answer struct {
	Pod    string `json:"pod"`
	Node   string `json:"node"`
	Client string `json:"client"`
}

// endpoint is one socket of one pod.
type endpoint struct {
	pod, node, proto string
	addr             netip.AddrPort
}

// Server holds the open sockets.
type Server struct {
	mu   sync.Mutex
	open map[endpoint]func() // closes it
}

// NewServer returns a server that plays no pod yet.
func NewServer() *Server { return &Server{open: map[endpoint]func(){}} }

// Set makes the played pods exactly these. Sockets that stay are not touched.
// A socket that cannot be opened is reported and tried again by the next Set.
func (s *Server) Set(pods []Pod) error {
	want := map[endpoint]bool{}
	for _, p := range pods {
		for _, port := range p.Ports {
			for _, a := range p.Addrs {
				want[endpoint{p.Name, p.Node, port.Proto, netip.AddrPortFrom(a, port.Number)}] = true
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for e, stop := range s.open {
		if !want[e] {
			stop()
			delete(s.open, e)
		}
	}
	var errs []error
	for e := range want {
		if s.open[e] != nil {
			continue
		}
		stop, err := e.serve()
		if err != nil {
			errs = append(errs, fmt.Errorf("serve %s/%s for pod %s: %w", e.addr, e.proto, e.pod, err))
			continue
		}
		s.open[e] = stop
	}
	return errors.Join(errs...)
}

// Close closes everything.
func (s *Server) Close() { _ = s.Set(nil) }

func (e endpoint) serve() (func(), error) {
	if e.proto == "udp" {
		return e.serveUDP()
	}
	l, err := net.Listen("tcp", e.addr.String())
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l) //nolint:errcheck // it ends with ErrServerClosed when stop is called
	return func() { srv.Close() }, nil
}

func (e endpoint) serveUDP() (func(), error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(e.addr))
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // such as a port unreachable message for an earlier reply
			}
			line, _ := json.Marshal(e.answer(from.Addr())) // strings always encode
			_, _ = c.WriteToUDPAddrPort(append(append(line, '\n'), buf[:n]...), from)
		}
	}()
	return func() { c.Close() }, nil
}

func (e endpoint) answer(client netip.Addr) Answer {
	return Answer{Pod: e.pod, Node: e.node, Client: client.Unmap().String()}
}

// ServeHTTP writes the page that a person looks for with curl.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a := e.answer(from.Addr())
	h := w.Header()
	h.Set("X-Lab-Pod", a.Pod)
	h.Set("X-Lab-Node", a.Node)
	h.Set("X-Lab-Client", a.Client)
	h.Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html>
<title>It works</title>
<h1>It works</h1>
<p>pod:    %s
<p>node:   %s
<p>client: %s
<p>host:   %s%s
`, a.Pod, a.Node, a.Client, r.Host, r.URL.Path)
}

// Apply tells the node's workload process, which listens on a Unix socket,
// what to play and returns when all sockets are open.
func Apply(ctx context.Context, socket string) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://workload/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("reach the workload process: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var msg [2048]byte
		n, _ := resp.Body.Read(msg[:])
		return fmt.Errorf("workload process: %s", msg[:n])
	}
	return nil
}
