// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// remarkable returns the parts of memberlist's messages that tell an administrator of
// something to repair. All else is debug: memberlist calls it an error when a packet
// cannot leave, ten times a second while a cable is out.
func remarkable() []string {
	return []string{
		"Decrypt packet failed",
		"no installed keys could decrypt",
		"encryption is configured but remote state is not encrypted",
		"remote state is encrypted and encryption is not configured",
		"unacceptable label",
		"Conflicting address for",
		"protocol version",
		"over TCP but UDP probes failed",
		"handler queue full",
		"Binding to public address without encryption",
	}
}

// quiet is how long the same kind of remarkable message stays silent after it was logged.
const quiet = time.Minute

// logWriter turns memberlist's lines into records of slog.
type logWriter struct {
	log     *slog.Logger
	now     func() time.Duration
	refuted func()

	mu     sync.Mutex
	logged map[string]time.Duration // by entry of remarkable
}

// refuting begins the message by which memberlist tells that it denies this node's death. It
// denies by itself, and none of its callbacks says so: that an alive message about this node
// comes by says nothing, since one does at each change of its meta data.
// TestDeathThatIsDeniedFences fails should the words change.
const refuting = "Refuting a dead message"

// newLogger returns a logger for memberlist, which insists on the old kind. It calls refuted,
// under memberlist's lock, when memberlist has denied that this node is dead.
func newLogger(to *slog.Logger, now func() time.Duration, refuted func()) *log.Logger {
	return log.New(&logWriter{log: to, now: now, refuted: refuted, logged: map[string]time.Duration{}}, "", 0)
}

// Write receives one line of the form "[LEVEL] memberlist: text".
func (w *logWriter) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if _, rest, ok := strings.Cut(text, "memberlist: "); ok {
		text = rest
	}
	if strings.HasPrefix(text, refuting) {
		w.refuted()
	}
	if w.warns(text) {
		w.log.Warn("gossip: " + text)
	} else {
		w.log.Debug("gossip: " + text)
	}
	return len(line), nil
}

func (w *logWriter) warns(text string) bool {
	for _, part := range remarkable() {
		if !strings.Contains(text, part) {
			continue
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		last, ok := w.logged[part]
		if ok && w.now()-last < quiet {
			return false
		}
		w.logged[part] = w.now()
		return true
	}
	return false
}
