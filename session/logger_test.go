package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
)

// asking is a slog.Handler of an application that reads the session which is spoken of, as one does that puts the
// user's name into each line.
type asking struct {
	t   *testing.T
	ctx context.Context // of the request that is under way

	mu    sync.Mutex
	asked []string // at which lines it has; guarded by mu
}

func (*asking) Enabled(context.Context, slog.Level) bool { return true }
func (a *asking) WithAttrs([]slog.Attr) slog.Handler     { return a }
func (a *asking) WithGroup(string) slog.Handler          { return a }

func (a *asking) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	a.asked = append(a.asked, r.Message)
	ctx := a.ctx
	a.mu.Unlock()
	if ctx == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		note.Get(ctx)
		note.Set(ctx, "by the logger")
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		a.t.Errorf("at %q the session does not answer", r.Message)
	}
	return nil
}

// TestLoggerAsks: a logger that asks the session of a request gets its answers, at every line about that.
func TestLoggerAsks(t *testing.T) {
	log := &asking{t: t}
	m := newManager(t, session.NewMemory(), func(c *session.Config) { c.Logger = slog.New(log) })
	during := func(ctx context.Context) {
		log.mu.Lock()
		log.ctx = ctx
		log.mu.Unlock()
	}
	r := newRequest()
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		during(ctx)
		note.Set(ctx, "x")
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, "the header is out")
	})
	log.mu.Lock()
	defer log.mu.Unlock()
	if !slices.ContainsFunc(log.asked, func(line string) bool { return strings.Contains(line, "must not be cached") }) {
		t.Errorf("nothing was asked at it: %q", log.asked)
	}
}
