// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command agent is what the lab's own test runs in process pods: it asks the
// API server something with its service account, and serves what it knows
// about itself as JSON on /. It fails /ready while the file /config/unready
// exists.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	listen := flag.String("listen", ":7472", "where to serve")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	fmt.Printf("agent: started, user %d, arguments %q\n", os.Getuid(), os.Args)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(self()) // a client that has gone does not matter
	})
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat("/config/unready"); err == nil {
			http.Error(w, "unready", http.StatusServiceUnavailable)
		}
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(listen, nil) }()
	select {
	case err := <-failed:
		return err
	case <-stop:
		fmt.Println("agent: terminated")
		return nil
	}
}

// self is everything the test wants to see from inside.
func self() map[string]string {
	me := map[string]string{"uid": fmt.Sprint(os.Getuid()), "hostname": "", "files": files("/"), "links": links()}
	me["hostname"], _ = os.Hostname()
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		me["env."+k] = v
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && (strings.HasPrefix(k, "Cap") || k == "NoNewPrivs") {
			me[k] = strings.TrimSpace(v)
		}
	}
	if err := os.WriteFile("/written", nil, 0o600); err != nil {
		me["write"] = err.Error()
	}
	for _, resource := range []string{"configmaps", "secrets"} {
		me["list."+resource] = list(resource)
	}
	return me
}

// list asks the API server and returns the status line or the error.
func list(resource string) string {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err.Error()
	}
	ns, _ := os.ReadFile(account + "namespace")
	ca, _ := os.ReadFile(account + "ca.crt")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	req, err := http.NewRequest(http.MethodGet, "https://"+host+"/api/v1/namespaces/"+string(ns)+"/"+resource, nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Status
}

func files(dir string) string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func links() string {
	all, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}
