package session

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// onLine is a slog.Handler that does something at each line.
type onLine func()

func (onLine) Enabled(context.Context, slog.Level) bool    { return true }
func (f onLine) Handle(context.Context, slog.Record) error { f(); return nil }
func (f onLine) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f onLine) WithGroup(string) slog.Handler             { return f }

// A logger that begins a session when it is told that there is no room, and is refused, does not wait for itself.
func TestLoggerIsRefused(t *testing.T) {
	var f fullLog
	m := &Manager{}
	said := 0
	m.cfg.Logger = slog.New(onLine(func() {
		said++
		f.note(m, Status{})
	}))
	done := make(chan struct{})
	go func() {
		f.note(m, Status{})
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the logger waits for itself")
	}
	if said != 1 {
		t.Errorf("%d lines", said)
	}
}
