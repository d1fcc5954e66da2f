// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// serveLogs answers `kubectl logs`, which reaches the kubelet through the API
// server. Only holders of a certificate of the lab's authority may ask.
func (k *Kubelet) serveLogs(ctx context.Context) error {
	ca, err := os.ReadFile(k.dir.Path("pki", "ca.crt"))
	if err != nil {
		return fmt.Errorf("read CA: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(k.dir.Path("pki", k.node+".crt"), k.dir.Path("pki", k.node+".key"))
	if err != nil {
		return fmt.Errorf("read kubelet certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLog)
	srv := &http.Server{
		Addr: net.JoinHostPort(k.hostIP[0].String(), strconv.Itoa(Port)), Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
			ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
		},
	}
	go func() {
		<-ctx.Done()
		srv.Close()
	}()
	if err := srv.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve logs: %w", err)
	}
	return nil
}

func (k *Kubelet) containerLog(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("namespace") + "_" + r.PathValue("pod") + "_" + r.PathValue("container")
	if strings.ContainsAny(name, "/") {
		http.Error(w, "bad name", http.StatusBadRequest)
		return
	}
	f, err := os.Open(k.dir.Log(k.node, name))
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(w, "(this container is played by the lab and writes no log)")
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	if n, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		if err := seekTail(f, n); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for {
		if _, err := io.Copy(w, f); err != nil || r.URL.Query().Get("follow") != "true" {
			return
		}
		_ = http.NewResponseController(w).Flush() // an HTTP/2 or 1.1 response can be flushed
		if !sleep(r.Context(), 300*time.Millisecond) {
			return
		}
	}
}

// seekTail moves to where the last n lines begin.
func seekTail(f *os.File, n int) error {
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(b), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	keep := 0
	for _, l := range lines[max(0, len(lines)-n):] {
		keep += len(l)
	}
	_, err = f.Seek(int64(len(b)-keep), io.SeekStart)
	return err
}
