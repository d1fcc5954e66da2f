// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Program is the name of the workload process in argv[0].
const Program = "pods"

// Main is the workload process: it plays what a file says, reads the file
// again on each request to its socket, and closes everything on SIGTERM.
func Main() int {
	fs := flag.NewFlagSet(Program, flag.ContinueOnError)
	file := fs.String("file", "", "JSON list of the pods to play")
	socket := fs.String("socket", "", "Unix socket for requests to read the file again")
	if err := fs.Parse(os.Args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *file, *socket); err != nil {
		fmt.Fprintln(os.Stderr, "pods:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, file, socket string) error {
	s := NewServer()
	defer s.Close()
	if err := s.reload(file); err != nil {
		return err
	}
	_ = os.Remove(socket) // of a predecessor that was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	srv := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := s.reload(file); err != nil {
				fmt.Fprintln(os.Stderr, "pods:", err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}),
	}
	go func() {
		<-ctx.Done()
		srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (s *Server) reload(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pods: %w", err)
	}
	var pods []Pod
	if err := json.Unmarshal(b, &pods); err != nil {
		return fmt.Errorf("decode pods: %w", err)
	}
	return s.Set(pods)
}
