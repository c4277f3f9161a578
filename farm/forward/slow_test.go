package forward

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A node that is too slow to begin its answer is given up where the route says so and another one may have the
// request: one that may be done twice, once, unless its handler has announced a change. Everything else is
// waited for.
func TestTryTimeout(t *testing.T) {
	long := strings.Repeat("x", 64<<10+1) // it is not kept, so a handler could not announce a change
	for name, c := range map[string]struct {
		method, path string
		body         string
		one          bool // there is one peer
		runs         int
		want         string
	}{
		"slow":                {method: "GET", path: "/slow", runs: 2, want: "200 second"},
		"with a body":         {method: "PUT", path: "/slow", body: "x", runs: 2, want: "200 second"},
		"both slow":           {method: "GET", path: "/both", runs: 2, want: "200 late"},
		"no other route says": {method: "GET", path: "/other", runs: 1, want: "200 late"},
		"not to be repeated":  {method: "POST", path: "/late", body: "x", runs: 1, want: "200 late"},
		"announced a change":  {method: "GET", path: "/marks", runs: 1, want: "200 late"},
		"has begun":           {method: "GET", path: "/begins", runs: 1, want: "200 begun, late"},
		"a long body":         {method: "PUT", path: "/late", body: long, runs: 1, want: "200 late"},
		"longer than usual":   {method: "GET", path: "/usual/slow", runs: 2, want: "200 second"},
		"nobody else":         {method: "GET", path: "/late", one: true, runs: 1, want: "200 late"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = time.Second
			var l ledger
			gone := make(chan struct{}, 9)
			late := func(w http.ResponseWriter) {
				<-time.After(limit * 3 / 2)
				io.WriteString(w, "late")
			}
			h := func(w http.ResponseWriter, r *http.Request) {
				before := l.begin(r.URL.Path, "")
				switch {
				case r.URL.Path == "/warm":
				case strings.HasSuffix(r.URL.Path, "/slow") && before == 0:
					<-r.Context().Done()
					gone <- struct{}{}
				case strings.HasSuffix(r.URL.Path, "/slow"):
					io.WriteString(w, "second")
				case r.URL.Path == "/both" && before == 0:
					<-r.Context().Done()
				case r.URL.Path == "/marks":
					if err := Mark(r.Context()); err != nil {
						t.Error(err)
					}
					late(w)
				case r.URL.Path == "/begins":
					io.WriteString(w, "begun, ")
					http.NewResponseController(w).Flush()
					late(w)
				default:
					late(w)
				}
			}
			f := newFakeFarm(t)
			routes := []Route{{Pattern: "GET /", TryTimeout: limit}, {Pattern: "PUT /", Idempotent: true, TryTimeout: limit},
				{Pattern: "POST /", TryTimeout: limit}, {Pattern: "GET /other"},
				{Pattern: "GET /usual/"}}
			front := f.add("front", Config{Role: "front", Routes: routes}, never(t))
			front.gate.Admit()
			ids := []string{"a", "b", "c"}
			if c.one {
				ids = ids[:1]
			}
			for _, id := range ids {
				f.add(id, Config{}, http.HandlerFunc(h)).gate.Admit()
			}
			front.sees(ids...)
			for len(l.of("/warm")) < 8 { // the connections are there then
				get(t, front.public.URL+"/warm")
			}
			usual, _ := front.gate.routes.Match(request(t, "GET", front.public.URL+"/usual/", nil))
			for range 100 {
				usual.Value.Tail.Add(time.Millisecond)
			}
			res, body := fetch(t, request(t, c.method, front.public.URL+c.path, strings.NewReader(c.body)))
			if got := res.Status[:4] + body; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if runs := l.of(c.path); len(runs) != c.runs {
				t.Errorf("%d runs, want %d", len(runs), c.runs)
			}
			if strings.HasSuffix(c.path, "/slow") {
				<-gone
			}
		})
	}
}
