package forward

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

func TestGate_NoPeer(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	for accept, want := range map[string]string{
		"":                               "text/plain; charset=utf-8",
		"*/*":                            "text/plain; charset=utf-8",
		"text/html,application/json;q=1": "text/html; charset=utf-8",
		"application/json, text/html":    "application/problem+json",
	} {
		req := request(t, "GET", a.public.URL, nil)
		req.Header.Set("Accept", accept)
		res, body := fetch(t, req)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != want {
			t.Errorf("Accept %q: %d, %v", accept, res.StatusCode, res.Header)
		}
		if !strings.Contains(body, "starting") {
			t.Errorf("Accept %q: the page does not say why:\n%s", accept, body)
		}
		if want == "application/problem+json" {
			var p page
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != 503 || p.Request == "" {
				t.Errorf("problem %+v, %v", p, err)
			}
		}
	}
}

func TestGate_OpenServesHere(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, text("a"))
	b := f.add("b", Config{}, never(t))
	b.gate.Admit()
	a.sees("b")
	a.gate.Admit()
	if res, body := get(t, a.public.URL); body != "a" || res.Header.Get("X-Request-Id") == "" {
		t.Errorf("got %q, %v", body, res.Header)
	}
}

// A node that cannot serve for a while gives its clients' requests to peers, and takes none of theirs.
func TestGate_Suspend(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, text("a"))
	b := f.add("b", Config{}, text("b"))
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	b.sees("a")
	a.gate.Suspend("behind: release 7 is not here yet")
	if err := a.gate.Ready(); err == nil || err.Error() != "behind: release 7 is not here yet" {
		t.Errorf("Ready: %v", err)
	}
	if _, body := get(t, a.public.URL); body != "b" {
		t.Errorf("a client of a suspended node got %q", body)
	}
	b.gate.Suspend("behind")
	if res, body := get(t, a.public.URL); res.StatusCode != 503 || strings.Contains(body, "starting") {
		t.Errorf("nobody can serve: %d %q", res.StatusCode, body)
	}
	b.gate.Drain()
	if res, _ := get(t, b.public.URL); res.StatusCode != 503 {
		t.Errorf("a suspended node that drains serves: %d", res.StatusCode)
	}
	b.gate.Reopen()
	if err := b.gate.Ready(); err == nil {
		t.Error("a drain that is taken back opens a suspended gate")
	}
	a.gate.Admit()
	if _, body := get(t, a.public.URL); body != "a" || a.gate.Ready() != nil {
		t.Errorf("after Admit: %q, %v", body, a.gate.Ready())
	}
}

// A node without contact says so to balancers, and serves all the same.
func TestGate_Isolated(t *testing.T) {
	var isolated atomic.Bool
	f := newFakeFarm(t)
	a := f.add("a", Config{Isolated: isolated.Load}, text("a"))
	a.gate.Admit()
	if err := a.gate.Ready(); err != nil {
		t.Error(err)
	}
	isolated.Store(true)
	if err := a.gate.Ready(); err == nil {
		t.Error("ready without contact")
	}
	if _, body := get(t, a.public.URL); body != "a" {
		t.Errorf("without contact a client got %q", body)
	}
}

func TestGate_AppsApart(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{App: "shop"}, never(t))
	b := f.add("b", Config{App: "blog"}, never(t))
	b.gate.Admit()
	c := f.add("c", Config{App: "shop"}, text("c"))
	c.gate.Admit()
	a.sees("c")
	if _, body := get(t, a.public.URL); body != "c" {
		t.Errorf("got %q", body)
	}
}

func TestGate_Roles(t *testing.T) {
	f := newFakeFarm(t)
	front := f.add("front", Config{Role: cluster.Front}, never(t))
	staging := f.add("staging", Config{Role: cluster.Staging}, never(t))
	a := f.add("a", Config{}, text("a"))
	front.gate.Admit()
	if err := front.gate.Ready(); err == nil || err.Error() != "no peer to forward to" {
		t.Errorf("a front without a peer: %v", err)
	}
	if res, body := get(t, front.public.URL); res.StatusCode != 503 || strings.Contains(body, "starting") {
		t.Errorf("a front without a peer: %d %q", res.StatusCode, body)
	}
	staging.gate.Admit()
	a.gate.Admit()
	front.sees("a")
	a.sees() // neither is ever chosen
	if _, body := get(t, front.public.URL); body != "a" {
		t.Errorf("front: got %q", body)
	}
	if err := front.gate.Ready(); err != nil {
		t.Errorf("front: %v", err)
	}
	if res, _ := get(t, staging.public.URL); res.StatusCode != 503 {
		t.Errorf("staging: status %d", res.StatusCode)
	}
}

func TestGate_Health(t *testing.T) {
	f := newFakeFarm(t)
	awaits := ""
	a := f.add("a", Config{LivePath: "/alive", Awaits: func() string { return awaits }}, text("app"))
	b := f.add("b", Config{}, never(t))
	b.gate.Admit()
	a.sees("b")
	check := func(path string, want int) {
		t.Helper()
		if res, _ := get(t, a.public.URL+path); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	check("/alive", 200)
	check("/readyz", 503)
	a.gate.Admit()
	check("/readyz", 200)
	if _, body := get(t, a.public.URL+"/livez"); body != "app" {
		t.Errorf("/livez is the application's here, got %q", body)
	}
	if res, _ := fetch(t, request(t, "POST", a.public.URL+"/readyz", nil)); res.StatusCode != 405 {
		t.Errorf("POST: %d", res.StatusCode)
	}
	awaits = "a relief" // of no interest to anybody before the drain
	check("/readyz", 200)
	a.gate.Retire(t.Context())
	admin := httptest.NewServer(a.gate.Health())
	defer admin.Close()
	const waits = "draining: its stop waits for a relief\n"
	if res, body := get(t, admin.URL+"/readyz"); res.StatusCode != 503 || body != waits {
		t.Errorf("it drains and waits: %d, %q", res.StatusCode, body)
	}
	if res, body := get(t, a.public.URL+"/readyz"); res.StatusCode != 503 || body != "draining\n" {
		t.Errorf("what it waits for is not for clients: %d, %q", res.StatusCode, body)
	}
	awaits = ""
	if res, body := get(t, a.public.URL+"/readyz"); res.StatusCode != 503 || body != "draining\n" {
		t.Errorf("it drains: %d, %q", res.StatusCode, body)
	}
	check("/alive", 200)
}

func TestGate_HandlerTwice(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, text("a"))
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "installed already") {
			t.Errorf("panic %q", s)
		}
	}()
	a.gate.Handler(text("again"))
}

func TestGate_NeverChosenWithoutApplication(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	b := f.add("b", Config{}, text("b"))
	b.gate.local.Store(nil) // as between Open and Handler
	b.gate.Admit()
	f.Change(func() { b.Tags[TagGate] = "ready" }) // and if it were chosen, it would refuse
	a.sees("b")
	if res, _ := get(t, a.public.URL); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	f.Change(func() { delete(b.Tags, TagGate) })
}

func TestGate_DrainForwards(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Linger: time.Hour}, never(t))
	b := f.add("b", Config{}, text("b"))
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	b.sees("a")
	ctx, cancel := context.WithCancel(t.Context())
	retired := make(chan struct{})
	go func() { a.gate.Retire(ctx); close(retired) }()
	b.sees() // the others heard it
	res, body := get(t, a.public.URL)
	if body != "b" || !res.Close {
		t.Errorf("got %q, Connection: close is %v", body, res.Close)
	}
	select {
	case <-retired:
		t.Error("retired at once although a peer can take over and requests come")
	default:
	}
	cancel()
	<-retired
}

func TestGate_DrainAlone(t *testing.T) {
	f := newFakeFarm(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	a := f.add("a", Config{Linger: time.Hour}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		w.Write([]byte("a"))
	}))
	a.gate.Admit()
	slow := make(chan string)
	go func() { _, body := get(t, a.public.URL+"/slow"); slow <- body }()
	<-begun
	a.gate.Retire(t.Context()) // no hour: nobody could take over
	if _, body := get(t, a.public.URL); body != "a" {
		t.Errorf("got %q: the last node serves to the end", body)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n := a.gate.Finish(ended); n != 1 {
		t.Errorf("%d running, want 1", n)
	}
	close(finish)
	if n := a.gate.Finish(t.Context()); n != 0 {
		t.Errorf("%d running, want none", n)
	}
	if body := <-slow; body != "a" {
		t.Errorf("the running request got %q", body)
	}
}

func TestGate_LingerEndsWhenQuiet(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Linger: 50 * time.Millisecond}, never(t))
	b := f.add("b", Config{}, text("b"))
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	begin := time.Now()
	a.gate.Retire(t.Context())
	if d := time.Since(begin); d < 5*time.Millisecond {
		t.Errorf("lingered for %v only", d)
	}
	a.gate.Retire(t.Context()) // again: nothing to wait for
}

func TestConfig_Validate(t *testing.T) {
	for want, c := range map[string]Config{
		"":              {},
		"slash":         {LivePath: "livez"},
		`both "/readyz`: {LivePath: "/readyz"},
		"negative":      {DrainTimeout: -1},
		"a protocol":    {Upgrades: []string{"chat/2", "h2c, chat"}},
	} {
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// The last node serves to the end, requests with bodies too.
// A node that stops before it was ever a caught-up member cannot serve, not even as the last one.
func TestGate_DrainNeverAdmitted(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	a.gate.Retire(t.Context())
	if res, body := get(t, a.public.URL); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, %q", res.StatusCode, body)
	}
}

func TestGate_DrainAloneWithBody(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Linger: time.Hour}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(b)
	}))
	a.gate.Admit()
	a.gate.Retire(t.Context())
	if res, body := fetch(t, request(t, "POST", a.public.URL, strings.NewReader("whole"))); body != "whole" {
		t.Errorf("status %d, body %q", res.StatusCode, body)
	}
	// The same after a peer has been asked and refused.
	b := f.add("b", Config{}, never(t))
	f.Change(func() { b.Tags[TagGate] = "ready" })
	a.sees("b")
	if res, body := fetch(t, request(t, "POST", a.public.URL, strings.NewReader("whole"))); body != "whole" {
		t.Errorf("after a refusal: status %d, body %q", res.StatusCode, body)
	}
}
