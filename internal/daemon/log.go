// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// LogLevels are the values of --log-level, from most to least talkative.
const LogLevels = "all, debug, info, warn, error, none"

// NewLogger returns a JSON logger at the given level (one of LogLevels) and routes the
// Kubernetes client library's own log lines into it.
func NewLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	switch level {
	case "all", "debug":
		l = slog.LevelDebug
	case "info":
		l = slog.LevelInfo
	case "warn":
		l = slog.LevelWarn
	case "error":
		l = slog.LevelError
	case "none":
		w = io.Discard
	default:
		return nil, fmt.Errorf("log level %q is not one of %s", level, LogLevels)
	}
	logger := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
	klog.SetLogger(logr.FromSlogHandler(clientLibrary{logger.Handler()}))
	log.SetOutput(io.Discard) // libraries that print to the standard logger have nothing to say
	return logger, nil
}

// clientLibrary lowers client-go's informational lines to debug: info means that Clarion's
// own state changed.
type clientLibrary struct{ slog.Handler }

func (h clientLibrary) Enabled(ctx context.Context, l slog.Level) bool {
	return h.Handler.Enabled(ctx, lowered(l))
}

func (h clientLibrary) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h clientLibrary) WithAttrs(a []slog.Attr) slog.Handler {
	return clientLibrary{h.Handler.WithAttrs(a)}
}

func (h clientLibrary) WithGroup(n string) slog.Handler { return clientLibrary{h.Handler.WithGroup(n)} }

func lowered(l slog.Level) slog.Level {
	if l <= slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}
