// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/workload"
)

// Config says what to ask, and how.
type Config struct {
	Target   string // ADDR:PORT
	Proto    string // "udp", "tcp" (connect only) or "http"
	Interval time.Duration
	Duration time.Duration // 0: until the context ends
	Timeout  time.Duration // a question not answered by then is lost
	// OneFlow sends all UDP questions from one port. By default each comes
	// from a port of its own, so that no connection tracking entry made in bad
	// times is still in use in good ones.
	OneFlow   bool
	Threshold time.Duration // shortest gap to report
	// Answered is called once, at the first answer.
	Answered func()
}

// asker asks one numbered question and returns who answered. It must not
// outlive its context.
type asker func(ctx context.Context, seq int) (workload.Answer, error)

// Run asks until the duration is over or ctx ends, and reports.
func Run(ctx context.Context, c Config) (Report, error) {
	r := Report{Target: c.Target, Proto: c.Proto, IntervalMS: ms(c.Interval)}
	ask, done, err := newAsker(c)
	if err != nil {
		return r, err
	}
	defer done()
	if c.Duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, c.Duration)
		defer stop()
	}
	var (
		mu      sync.Mutex
		samples []Sample
		wg      sync.WaitGroup
		first   sync.Once
	)
	r.Started = time.Now()
	for seq := 0; ; seq++ {
		due := r.Started.Add(time.Duration(seq) * c.Interval)
		if !until(ctx, due) {
			break
		}
		now := time.Now()
		r.MaxSendDelayMS = max(r.MaxSendDelayMS, ms(now.Sub(due)))
		mu.Lock()
		samples = append(samples, Sample{Sent: now})
		mu.Unlock()
		wg.Go(func() {
			// The end of the measurement does not cut off questions under way.
			qctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
			defer cancel()
			who, err := ask(qctx, seq)
			if err != nil {
				return
			}
			arrived := time.Now()
			mu.Lock()
			samples[seq].Answered, samples[seq].Pod, samples[seq].Node = arrived, who.Pod, who.Node
			mu.Unlock()
			if c.Answered != nil {
				first.Do(c.Answered)
			}
		})
	}
	wg.Wait()
	r.Ended = time.Now()
	r.Analyse(samples, c.Threshold)
	return r, nil
}

func until(ctx context.Context, t time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(t)):
		return ctx.Err() == nil
	}
}

func newAsker(c Config) (asker, func(), error) {
	none := func() {}
	switch c.Proto {
	case "udp":
		if c.OneFlow {
			return oneFlow(c.Target)
		}
		return func(ctx context.Context, seq int) (workload.Answer, error) { return askUDP(ctx, c.Target, seq) }, none, nil
	case "tcp":
		return func(ctx context.Context, _ int) (workload.Answer, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Target)
			if err != nil {
				return workload.Answer{}, err
			}
			return workload.Answer{}, conn.Close()
		}, none, nil
	case "http":
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		return func(ctx context.Context, _ int) (workload.Answer, error) { return askHTTP(ctx, client, c.Target) }, none, nil
	}
	return nil, none, fmt.Errorf("protocol %q is not udp, tcp or http", c.Proto)
}

func askUDP(ctx context.Context, target string, seq int) (workload.Answer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", target)
	if err != nil {
		return workload.Answer{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return workload.Answer{}, err
		}
	}
	if _, err := conn.Write(strconv.AppendInt(nil, int64(seq), 10)); err != nil {
		return workload.Answer{}, err
	}
	var buf [2048]byte
	n, err := conn.Read(buf[:])
	if err != nil {
		return workload.Answer{}, err
	}
	who, got, err := parseReply(buf[:n])
	if err == nil && got != seq {
		err = fmt.Errorf("answer to question %d came for %d", got, seq)
	}
	return who, err
}

// parseReply reads a line that says who answers, and the question's number.
func parseReply(b []byte) (who workload.Answer, seq int, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return who, 0, errors.New("the answer is not a lab pod's")
	}
	if err := json.Unmarshal(line, &who); err != nil {
		return who, 0, fmt.Errorf("the answer is not a lab pod's: %w", err)
	}
	seq, err = strconv.Atoi(string(rest))
	return who, seq, err
}

func askHTTP(ctx context.Context, client *http.Client, target string) (workload.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/", nil)
	if err != nil {
		return workload.Answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return workload.Answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return workload.Answer{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return workload.Answer{}, fmt.Errorf("status %s", resp.Status)
	}
	return workload.Answer{Pod: resp.Header.Get("X-Lab-Pod"), Node: resp.Header.Get("X-Lab-Node")}, nil
}

// oneFlow asks all questions through one socket.
func oneFlow(target string) (asker, func(), error) {
	conn, err := net.Dial("udp", target)
	if err != nil {
		return nil, nil, fmt.Errorf("open socket: %w", err)
	}
	var mu sync.Mutex
	waiting := map[int]chan workload.Answer{}
	go func() {
		var buf [2048]byte
		for {
			n, err := conn.Read(buf[:])
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // such as "connection refused" for an earlier question
			}
			if who, seq, err := parseReply(buf[:n]); err == nil {
				mu.Lock()
				if ch := waiting[seq]; ch != nil {
					ch <- who
					delete(waiting, seq)
				}
				mu.Unlock()
			}
		}
	}()
	ask := func(ctx context.Context, seq int) (workload.Answer, error) {
		ch := make(chan workload.Answer, 1)
		mu.Lock()
		waiting[seq] = ch
		mu.Unlock()
		if _, err := conn.Write(strconv.AppendInt(nil, int64(seq), 10)); err != nil {
			return workload.Answer{}, err
		}
		select {
		case who := <-ch:
			return who, nil
		case <-ctx.Done():
			return workload.Answer{}, ctx.Err()
		}
	}
	return ask, func() { conn.Close() }, nil
}
