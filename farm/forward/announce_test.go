package forward

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// dumbPeers are peers to whom nothing can be gossiped.
type dumbPeers struct{ Peers }

func (dumbPeers) SetTag(string, string) error { return errors.New("no") }

// onLog is a slog.Handler that does something at each line.
type onLog func()

func (onLog) Enabled(context.Context, slog.Level) bool    { return true }
func (f onLog) Handle(context.Context, slog.Record) error { f(); return nil }
func (f onLog) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f onLog) WithGroup(string) slog.Handler             { return f }

// A logger that has the gate announce itself, as by draining the node, when it is told that it could not, does not wait
// for itself.
func TestGate_LoggerAnnounces(t *testing.T) {
	g := &Gate{peers: dumbPeers{}}
	said, done := 0, make(chan struct{})
	g.cfg.Logger = slog.New(onLog(func() {
		if said++; said < 3 {
			g.announce()
		}
	}))
	handler := http.Handler(http.NotFoundHandler())
	g.local.Store(&handler)
	g.stage.Store(int32(open))
	go func() {
		g.announce()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the logger waits for itself")
	}
	if said != 3 {
		t.Errorf("%d lines", said)
	}
}
