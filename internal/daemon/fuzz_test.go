// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// A command line that Go's flag package takes means the same here, whatever else is accepted;
// and no ignored flag passes without a word.
func FuzzFlags(f *testing.F) {
	f.Add("--name=x --port 3", "")
	f.Add("--old enabled --name x --old", "7")
	f.Add("-old=3 -- --port", "x")
	f.Add("--name --old enabled --on --old false", "0x10")
	f.Fuzz(func(t *testing.T, line, env string) {
		args := strings.Fields(line)
		getenv := func(string) string { return env }
		ours := NewFlags("ours", getenv)
		ours.SetOutput(io.Discard)
		name, port, on := define(ours.FlagSet)
		ours.Env("port", "PORT")
		ours.Ignore("old", "no reason")
		notices, err := ours.Parse(args)

		plain := flag.NewFlagSet("plain", flag.ContinueOnError)
		plain.SetOutput(io.Discard)
		wantName, wantPort, wantOn := define(plain)
		plain.Var(ignoredValue{}, "old", "")
		plainErr := plain.Parse(args)
		if plainErr == nil && plain.NArg() == 0 {
			given := map[string]bool{}
			plain.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
			if n, convErr := strconv.ParseInt(env, 0, strconv.IntSize); env != "" && !given["port"] {
				if (convErr == nil) != (err == nil) {
					t.Fatalf("PORT=%q: %v", env, err)
				}
				*wantPort = int(n)
			}
			if err == nil && (*name != *wantName || *port != *wantPort || *on != *wantOn) {
				t.Errorf("%q: name %q, port %d, on %t; want %q, %d, %t", args, *name, *port, *on, *wantName, *wantPort, *wantOn)
			}
			if err == nil && given["old"] != (len(notices) == 1) {
				t.Errorf("%q: notices %q", args, notices)
			}
		}
		if errors.Is(plainErr, flag.ErrHelp) && !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q asks for help and gets %v", args, err)
		}
	})
}

func define(f *flag.FlagSet) (name *string, port *int, on *bool) {
	return f.String("name", "", ""), f.Int("port", 1, ""), f.Bool("on", false, "")
}

// Whatever the flags about TLS say, they are refused by name or give a server that a client of
// TLS 1.3 with the same mechanisms can talk to.
func FuzzTLSFlags(f *testing.F) {
	f.Add("VersionTLS13", "", "")
	f.Add("VersionTLS12", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256", "29, 23,4588")
	f.Add("VersionTLS13", "TLS_AES_128_GCM_SHA256", "23,23")
	f.Add("VersionTLS12", ",", "0x1d,24,25,65536")
	f.Fuzz(func(t *testing.T, version, suites, curves string) {
		config, err := TLS{MinVersion: version, CipherSuites: suites, Curves: curves}.Config("10.0.0.1")
		if err != nil {
			if !strings.Contains(err.Error(), "--tls-") {
				t.Fatalf("%v does not name the flag", err)
			}
			return
		}
		if config.MinVersion < tls.VersionTLS12 {
			t.Fatalf("%q: version %x", version, config.MinVersion)
		}
		for _, id := range config.CipherSuites {
			if strings.HasPrefix(tls.CipherSuiteName(id), "0x") {
				t.Fatalf("%q: suite %x", suites, id)
			}
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		server := make(chan error, 1)
		go func() { server <- tls.Server(ours, config).HandshakeContext(t.Context()) }()
		client := tls.Client(theirs, &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: config.CurvePreferences,
		})
		err = client.HandshakeContext(t.Context())
		if err != nil {
			theirs.Close() // or the server waits for more
		}
		if err = errors.Join(err, <-server); err != nil {
			t.Fatalf("%q, %q, %q: %v", version, suites, curves, err)
		}
	})
}
