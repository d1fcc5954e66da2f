// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	enginelog "github.com/osrg/gobgp/v3/pkg/log"
)

// engineLog takes what a server logs. The engine says why a session ended only here, so that is
// handed on as an event; the rest goes to debug, except for lines that come once per route.
type engineLog struct {
	mu   sync.Mutex
	log  *slog.Logger
	said func(event, detail string)
}

func newEngineLog(log *slog.Logger) *engineLog { return &engineLog{log: log} }

// use sets who gets the log of the peer that the server serves from now on.
func (l *engineLog) use(log *slog.Logger, said func(event, detail string)) {
	l.mu.Lock()
	l.log, l.said = log, said
	l.mu.Unlock()
}

// The lines that tell of a session.
const (
	lineUp           = "Peer Up"
	lineDown         = "Peer Down"
	lineReceived     = "received notification"
	lineSent         = "sent notification"
	lineExpired      = "hold timer expired"
	lineNotConnected = "failed to connect"
	lineState        = "state changed"
)

// dropped are lines that come once for every route, 10,000 at a time.
func dropped(msg string) bool {
	switch msg {
	case "No matching path for withdraw found, may be path was not installed into table",
		"sent update", "sent", "create Destination", "From me, ignore.", "From same AS, ignore.",
		"path is already withdrawn", "Received Update":
		return true
	}
	return false
}

func (l *engineLog) write(level slog.Level, msg string, fields enginelog.Fields) {
	if dropped(msg) {
		return
	}
	l.mu.Lock()
	log, said := l.log, l.said
	l.mu.Unlock()
	if said != nil {
		if detail, ok := eventDetail(msg, fields); ok {
			said(msg, detail)
		}
	}
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	args := make([]any, 0, 2*len(fields)+2)
	args = append(args, "engine", level.String())
	for k, v := range fields {
		args = append(args, k, fmt.Sprint(v))
	}
	log.Debug(msg, args...)
}

// eventDetail puts the fields of a telling line into words.
func eventDetail(msg string, fields enginelog.Fields) (string, bool) {
	switch msg {
	case lineUp, lineExpired:
		return "", true
	case lineDown:
		reason := fmt.Sprint(fields["Reason"])
		return reason, reason != "dying" // that is what the engine calls our own DeletePeer
	case lineState:
		old, next := fmt.Sprint(fields["old"]), fmt.Sprint(fields["new"])
		failed := next == "BGP_FSM_IDLE" && (old == "BGP_FSM_OPENSENT" || old == "BGP_FSM_OPENCONFIRM")
		return fmt.Sprintf("%s in state %s", fields["reason"], strings.TrimPrefix(old, "BGP_FSM_")), failed
	case lineNotConnected:
		return fmt.Sprint(fields["Error"]), true
	case lineReceived, lineSent:
		if e, ok := fields["Data"].(fmt.Stringer); ok && fields["Code"] == nil {
			return e.String(), true
		}
		text := ""
		if reason, ok := fields["Communicated-Reason"]; ok {
			text = fmt.Sprintf(" %q", reason)
		}
		if fields["Code"] == nil {
			return fmt.Sprint(fields["Data"]), true
		}
		return fmt.Sprintf("code %v subcode %v%s", fields["Code"], fields["Subcode"], text), true
	}
	return "", false
}

// Panic and Fatal are the engine's opinion; one peer must not end the program.
func (l *engineLog) Panic(msg string, f enginelog.Fields) { l.alarm(msg, f) }
func (l *engineLog) Fatal(msg string, f enginelog.Fields) { l.alarm(msg, f) }
func (l *engineLog) Error(msg string, f enginelog.Fields) { l.write(slog.LevelError, msg, f) }
func (l *engineLog) Warn(msg string, f enginelog.Fields)  { l.write(slog.LevelWarn, msg, f) }
func (l *engineLog) Info(msg string, f enginelog.Fields)  { l.write(slog.LevelInfo, msg, f) }
func (l *engineLog) Debug(msg string, f enginelog.Fields) { l.write(slog.LevelDebug, msg, f) }

func (l *engineLog) alarm(msg string, f enginelog.Fields) {
	l.mu.Lock()
	log := l.log
	l.mu.Unlock()
	log.Error("engine: "+msg, "fields", fmt.Sprint(f))
}

// SetLevel implements the engine's interface; the level is slog's business.
func (l *engineLog) SetLevel(enginelog.LogLevel) {}

// GetLevel asks for debug lines, because a failed connect is only told there.
func (l *engineLog) GetLevel() enginelog.LogLevel { return enginelog.DebugLevel }
