package lane

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// A request's deadline is that of its handler's context at the peer, on a lane and on the trunk, with a body
// and without. What the handler says when it is over is for the client, and so is what it has begun by then;
// what it has not begun a second later is given up.
func TestExpiry(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := expiryPair(t)
		for _, accept := range []string{"*/*", "text/event-stream"} {
			for _, x := range []struct {
				path, body string
				left       time.Duration // 0 = any
				want       string
				gaveUp     bool
				took       time.Duration
			}{
				{path: "/quick", want: "none"},
				{path: "/quick", body: "x", want: "none"},
				{path: "/quick", left: time.Minute, want: "1m0s"},
				{path: "/quick", body: "x", left: time.Minute, want: "1m0s"},
				{path: "/quick", body: strings.Repeat("x", 100<<10), left: time.Minute, want: "1m0s"},
				{path: "/quick", left: -time.Second, want: "over"},
				{path: "/excuse", left: time.Minute, want: "sorry", took: time.Minute},
				{path: "/begun", left: time.Minute, want: "begun, ended", took: time.Hour},
				{path: "/hangs", left: time.Minute, gaveUp: true, took: time.Minute + answerTime},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				if x.left != 0 {
					ctx, cancel = context.WithTimeout(t.Context(), x.left)
				}
				r := httptest.NewRequestWithContext(ctx, "POST", x.path, strings.NewReader(x.body))
				r.Header.Set("Accept", accept)
				w, began := httptest.NewRecorder(), time.Now()
				out := c.Do(w, r, &Attempt{Facts: someFacts(), Upload: NewUpload(r)})
				took := time.Since(began)
				cancel()
				if w.Body.String() != x.want || out.GaveUp != x.gaveUp || took != x.took ||
					x.gaveUp != errors.Is(out.Err, context.DeadlineExceeded) || !x.gaveUp && out.Err != nil {
					t.Errorf("%s %s, %d bytes, %v left: %q after %v, %+v", accept, x.path, len(x.body), x.left,
						w.Body.String(), took, out)
				}
				time.Sleep(2 * time.Hour) // the handler that hangs is through
			}
		}
	})
}

// expiryPair returns a client of a peer on a network of the bubble.
func expiryPair(t *testing.T) *Client {
	n := memnet.New()
	l, err := n.Host("10.0.0.2").Listen("10.0.0.2:1")
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{Logger: slog.New(slog.DiscardHandler)}
	srv.Handle = func(w *Writer, r *http.Request, _ *Facts) { expiryHandler(w, r) }
	go srv.Serve(l)
	c := NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		return n.Host("10.0.0.1").Dial(ctx, "10.0.0.2:1")
	}})
	t.Cleanup(func() {
		c.Close()
		l.Close()
		srv.Close()
	})
	return c
}

func expiryHandler(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	switch r.URL.Path {
	case "/quick":
		switch end, ok := ctx.Deadline(); {
		case !ok:
			io.WriteString(w, "none")
		case ctx.Err() != nil:
			io.WriteString(w, "over")
		default:
			io.WriteString(w, time.Until(end).String())
		}
	case "/excuse":
		if <-ctx.Done(); context.Cause(ctx) == context.DeadlineExceeded {
			io.WriteString(w, "sorry")
		}
	case "/begun":
		io.WriteString(w, "begun")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Hour)
		io.WriteString(w, ", ended")
	case "/hangs":
		time.Sleep(time.Hour)
	}
}
