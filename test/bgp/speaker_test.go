// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/clarion-lb/clarion/internal/bfd/udp"
)

// request is a line that a test sends to the speaker process; every request gets one reply.
type request struct {
	BFD *[]udp.Target `json:",omitempty"`
}

// reply is what the speaker observes after a request.
type reply struct {
	BFD   []udp.Status
	Error string
}

// speak is the speaker process: it serves requests until its input ends.
func speak(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	watch, err := udp.New(udp.Options{Log: log, Kick: func() {}})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := watch.Run(ctx); err != nil {
			log.Error("run BFD", "err", err)
		}
	})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var req request
		var rep reply
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if req.BFD != nil {
			watch.Set(*req.BFD)
		}
		rep.BFD = watch.Observe()
		b, err := json.Marshal(rep)
		if err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
		fmt.Fprintf(out, "%s\n", b)
	}
	cancel()
	wg.Wait()
	return nil
}

// speaker is the test's end of a speaker process.
type speaker struct {
	*process
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	mu  sync.Mutex
}

// startSpeaker runs the test binary as a speaker in the namespace of a host.
func (s *segment) startSpeaker(host string) *speaker {
	s.t.Helper()
	sp := &speaker{t: s.t}
	sp.process = s.start(host, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), roleEnv+"=1")
		cmd.Stdout = nil
		in, err := cmd.StdinPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		sp.in, sp.out = in, bufio.NewReaderSize(out, 64<<20)
	}, os.Args[0])
	return sp
}

// ask sends a request and returns the reply.
func (sp *speaker) ask(req request) reply {
	sp.t.Helper()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	b, err := json.Marshal(req)
	if err != nil {
		sp.t.Fatal(err)
	}
	if _, err := sp.in.Write(append(b, '\n')); err != nil {
		sp.t.Fatalf("ask the speaker: %v: %s", err, tail(sp.process.out.String(), 2000))
	}
	line, err := sp.out.ReadString('\n')
	if err != nil {
		sp.t.Fatalf("read the speaker's answer: %v: %s", err, tail(sp.process.out.String(), 2000))
	}
	var rep reply
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&rep); err != nil {
		sp.t.Fatal(err)
	}
	if rep.Error != "" {
		sp.t.Fatalf("speaker: %s", rep.Error)
	}
	return rep
}

// quit ends the speaker as SIGTERM would.
func (sp *speaker) quit() {
	_ = sp.in.Close()
	<-sp.done
}

// watch hands targets to the BFD manager.
func (sp *speaker) watch(targets ...udp.Target) {
	sp.t.Helper()
	if targets == nil {
		targets = []udp.Target{} // none is another wish than no wish
	}
	sp.ask(request{BFD: &targets})
}
