package forward

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// A request has one deadline, wherever its handler runs: that of its route, or that of its context. Another
// node gets what is left of it, and no node gets a request whose time is over.
func TestTimeout(t *testing.T) {
	const long, short = time.Minute, 300 * time.Millisecond
	var l ledger
	release := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := l.begin(r.URL.Path, "")
		switch r.URL.Path {
		case "/hangs", "/hangs/post":
			<-release
			return
		case "/fails": // in the end
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case "/second":
			if before == 0 {
				<-time.After(short)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		end, ok := r.Context().Deadline()
		if !ok {
			end = time.Now()
		}
		io.WriteString(w, time.Until(end).String())
	})
	retry := []int{http.StatusServiceUnavailable}
	cfg := Config{Routes: []Route{{Pattern: "/", Timeout: long, RetryOn: retry}, {Pattern: "/own"},
		{Pattern: "/hangs", Timeout: short}, {Pattern: "/hangs/", Timeout: short},
		{Pattern: "/fails", Timeout: short, RetryOn: retry}}}
	f := newFakeFarm(t)
	alone := f.add("alone", Config{App: "other", Routes: cfg.Routes}, h)
	alone.gate.Admit()
	cfg.Role = "front"
	front := f.add("front", cfg, never(t))
	front.gate.Admit()
	for _, id := range []string{"a", "b"} {
		f.add(id, Config{}, h).gate.Admit()
	}
	front.sees("a", "b")
	t.Cleanup(func() { close(release) })

	left := func(least, most time.Duration, body string) {
		t.Helper()
		if d, err := time.ParseDuration(body); err != nil || d < least || d > most {
			t.Errorf("%s were left, want %v to %v", body, least, most)
		}
	}
	for _, n := range []*fakeNode{alone, front} {
		_, body := get(t, n.public.URL+"/")
		left(1, long, body)
		_, body = get(t, n.public.URL+"/own")
		left(-long, 0, body)

		ctx, cancel := context.WithTimeout(t.Context(), 2*long)
		w := httptest.NewRecorder()
		n.gate.serveClient(w, httptest.NewRequestWithContext(ctx, "GET", "/own", nil))
		left(long+1, 2*long, w.Body.String())
		cancel()
	}
	_, body := get(t, front.public.URL+"/second")
	left(1, long-short, body)
	for path, method := range map[string]string{"/hangs": "GET", "/hangs/post": "POST", "/fails": "GET"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			res, _ := fetch(t, request(t, method, front.public.URL+path, nil))
			late := res.StatusCode == http.StatusGatewayTimeout
			kept := res.StatusCode == http.StatusServiceUnavailable && path == "/fails" // it may come too late
			runs := len(l.of(path))
			if runs == 0 && late {
				ci.Latef(t, "the time of the request was over before a node had it")
			}
			if runs != 1 || !late && !kept {
				t.Errorf("%s after %d runs", res.Status, runs)
			}
		})
	}
}
