// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestOnlyRemarkableMessagesAreWarningsAndNotTooOften(t *testing.T) {
	var out bytes.Buffer
	now, refuted := time.Duration(0), 0
	l := newLogger(slog.New(slog.NewTextHandler(&out, nil)), func() time.Duration { return now }, func() { refuted++ })
	logged := func(line string, want bool) {
		t.Helper()
		out.Reset()
		l.Printf("%s", line)
		if got := out.Len() > 0; got != want {
			t.Errorf("%q at %s logged %v, want %v", line, now, got, want)
		}
	}
	logged("[ERR] memberlist: Failed to send UDP ping: network is unreachable", false)
	logged("[WARN] memberlist: Refuting a suspect message (from: n2)", false)
	logged("[WARN] memberlist: Refuting a dead message (from: n2)", false)
	if refuted != 1 {
		t.Errorf("%d deaths denied, want 1", refuted)
	}
	logged("[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.9", true)
	if !strings.Contains(out.String(), `level=WARN msg="gossip: Decrypt packet failed`) {
		t.Errorf("logged %q", out.String())
	}
	logged("[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.8", false)
	logged("[ERR] memberlist: Conflicting address for n1. Mine: 10.0.0.1", true)
	now = quiet
	logged("[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.9", true)
}
