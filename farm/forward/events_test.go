package forward

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// plainEvents answers with events as handlers do that know nothing of this package, each in its own way, until
// its client goes.
func plainEvents(w http.ResponseWriter, r *http.Request) {
	switch w.Header().Set("Content-Type", "text/event-stream; charset=utf-8"); r.URL.Path {
	case "/header":
		w.WriteHeader(http.StatusOK)
	case "/write":
		w.Write([]byte("data: x\n\n"))
	case "/string":
		io.WriteString(w, "data: x\n\n")
	case "/copy":
		io.Copy(w, strings.NewReader("data: x\n\n"))
	case "/hints":
		w.WriteHeader(http.StatusEarlyHints)
	case "/plain":
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "plain")
		return
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// Streams of events do not count among the requests that run, on the node that took them and on one that a
// peer has forwarded them to, though their handlers ask for nothing. What is no stream counts.
func TestEventsLeaveTheCount(t *testing.T) {
	for name, c := range map[string]struct {
		role   Config
		accept string
	}{
		"here":                     {Config{MaxRunning: 1}, "text/event-stream"},
		"here, among others":       {Config{MaxRunning: 1}, "application/json, text/event-stream"},
		"forwarded":                {Config{Role: "front"}, "text/event-stream"},
		"forwarded, not asked for": {Config{Role: "front"}, "*/*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeFarm(t)
			n := f.add("a", c.role, http.HandlerFunc(plainEvents))
			busy := n
			if c.role.Role != "" {
				busy = f.add("b", Config{MaxRunning: 1}, http.HandlerFunc(plainEvents))
				busy.gate.Admit()
				n.sees("b")
			}
			n.gate.Admit()
			ask := func(path string) *http.Response {
				t.Helper()
				req := request(t, "GET", n.public.URL+path, nil)
				req.Header.Set("Accept", c.accept)
				res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { res.Body.Close() })
				return res
			}
			for _, path := range []string{"/header", "/write", "/string", "/copy", "/hints", "/flush", "/plain"} {
				if res := ask(path); res.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", path, res.Status)
				}
			}
			if l := busy.gate.limit.Load(); l.Streams != 6 {
				t.Errorf("%+v, want 6 streams", l)
			}
			eventually(t, func() bool { return busy.gate.limit.Load().Running == 0 })
		})
	}
}
