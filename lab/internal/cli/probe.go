// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/probe"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// probeFlags are the flags of `lab probe` besides the probe's own.
type probeFlags struct {
	probe.Config
	from, neigh string
	here        bool // already inside the asking host
}

func (a *app) probe() *cobra.Command {
	var f probeFlags
	c := &cobra.Command{
		Use: "probe ADDR:PORT", Short: "Ask an address over and over and report the gaps", Args: cobra.ExactArgs(1),
		Long: `Asks ADDR:PORT from the client host every 10 ms until --duration is over or the
command gets SIGINT or SIGTERM, then prints a JSON report: sent, answered, lost, the
longest gap between two arriving answers, every gap with its times, and which pods
answered. UDP needs a pod of the lab behind the address; HTTP and TCP (connect only)
work with anything. When the first answer has come, a line says so on stderr.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Target = args[0]
			if _, err := netip.ParseAddrPort(f.Target); err != nil {
				return fmt.Errorf("target %q is not ADDR:PORT or [ADDR]:PORT", f.Target)
			}
			return a.runProbe(cmd.Context(), f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.Proto, "proto", "udp", "udp, tcp or http")
	fl.DurationVar(&f.Interval, "interval", 10*time.Millisecond, "time between two questions")
	fl.DurationVar(&f.Duration, "duration", 0, "how long to ask; 0 means until a signal comes")
	fl.DurationVar(&f.Timeout, "timeout", time.Second, "a question without an answer by then is lost")
	fl.DurationVar(&f.Threshold, "threshold", 50*time.Millisecond, "shortest gap to list")
	fl.BoolVar(&f.OneFlow, "one-flow", false, "send all UDP questions from one port instead of a new one each")
	fl.StringVar(&f.from, "from", topo.Client, "host to ask from")
	fl.StringVar(&f.neigh, "neigh", "", "file for the ARP and ND messages on the LAN meanwhile, as JSON lines (see lab neigh)")
	fl.BoolVar(&f.here, "here", false, "")
	_ = fl.MarkHidden("here") // the flag exists
	return c
}

func (a *app) runProbe(ctx context.Context, f probeFlags) error {
	_, c, err := a.load()
	if err != nil {
		return err
	}
	if !f.here {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the lab's own program: %w", err)
		}
		argv := append([]string{self}, os.Args[1:]...)
		return host.Exec(c.Netns(f.from), append(argv, "--here"), os.Environ())
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	finish := func() error { return nil }
	if f.neigh != "" {
		file, err := os.Create(f.neigh)
		if err != nil {
			return fmt.Errorf("create capture file: %w", err)
		}
		defer file.Close()
		if finish, err = capture(ctx, c.Lab, file, func(probe.Claim) bool { return true }); err != nil {
			return err
		}
	}
	f.Answered = func() { fmt.Fprintln(os.Stderr, "lab: first answer from", f.Target) }
	r, err := probe.Run(ctx, f.Config)
	if err := errors.Join(err, finish()); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

func (a *app) neigh() *cobra.Command {
	var addrs []string
	var duration time.Duration
	c := &cobra.Command{
		Use: "neigh", Short: "Print who claims which address on the LAN, as JSON lines", Args: cobra.NoArgs,
		Long: `Prints every ARP request, ARP reply, gratuitous ARP, neighbour solicitation and
(unsolicited) neighbour advertisement on the LAN as one line of JSON. "host" is the host
that really sent it, told by the bridge port and not by what the message says.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want := map[netip.Addr]bool{}
			for _, s := range addrs {
				addr, err := netip.ParseAddr(s)
				if err != nil {
					return fmt.Errorf("--addr: %w", err)
				}
				want[addr] = true
			}
			_, cfg, err := a.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if duration > 0 {
				ctx, stop = context.WithTimeout(ctx, duration)
				defer stop()
			}
			finish, err := capture(ctx, cfg.Lab, os.Stdout, func(c probe.Claim) bool { return len(want) == 0 || want[c.Addr] })
			if err != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, "lab: capturing")
			<-ctx.Done()
			return finish()
		},
	}
	c.Flags().StringArrayVar(&addrs, "addr", nil, "only messages about this address; may be repeated")
	c.Flags().DurationVar(&duration, "duration", 0, "how long; 0 means until a signal comes")
	return c
}

// capture writes the wanted claims on the LAN to w from now on; finish ends it
// and returns what went wrong.
func capture(ctx context.Context, l topo.Lab, w io.Writer, want func(probe.Claim) bool) (finish func() error, err error) {
	ports, err := host.OpenPorts(l)
	if err != nil {
		return nil, err
	}
	var sock *probe.Capture
	err = host.Do(l.Netns(topo.LAN), func() (err error) {
		sock, err = probe.NewCapture()
		return err
	})
	if err != nil {
		ports.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	out := json.NewEncoder(w)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		defer ports.Close()
		var broken error
		err := sock.Run(ctx, ports.Name, func(c probe.Claim) {
			if want(c) && broken == nil {
				broken = out.Encode(c)
			}
		})
		if failed = err; failed == nil {
			failed = broken
		}
	})
	return func() error {
		stop()
		wg.Wait()
		return failed
	}, nil
}
