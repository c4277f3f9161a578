package forward

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// holding starts a node without peers that keeps its requests, and gives it some. They are kept when it
// returns.
func holding(t *testing.T, cfg Config, h http.Handler, bodies ...string) (*fakeFarm, *fakeNode, chan string) {
	t.Helper()
	f := newFakeFarm(t)
	cfg.Hold = time.Hour
	n := f.add("n", cfg, h)
	answers := make(chan string, len(bodies))
	for _, body := range bodies {
		go func() {
			res, got := fetch(t, request(t, "POST", n.public.URL, strings.NewReader(body)))
			answers <- res.Status + " " + got
		}()
	}
	eventually(t, func() bool { return int(n.gate.held.Load()) == len(bodies) })
	return f, n, answers
}

// echo answers with the length of the body, and its own name.
func echo(t *testing.T, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		io.WriteString(w, name+" "+string(b[:min(5, len(b))]))
		if len(b) > 5 && len(b) != 1<<20 {
			t.Errorf("%s got %d bytes", name, len(b))
		}
	})
}

var bodies = []string{"", "short", strings.Repeat("x", 1<<20)}

func answered(t *testing.T, answers chan string, prefix string) {
	t.Helper()
	for range cap(answers) {
		if got := <-answers; !strings.HasPrefix(got, prefix) {
			t.Errorf("got %.80q, want %q", got, prefix)
		}
	}
}

// A node that has just started gives its first requests to the first peer that it hears of.
func TestHold_UntilPeer(t *testing.T) {
	f, _, answers := holding(t, Config{}, never(t), bodies...)
	p := f.add("p", Config{}, echo(t, "p"))
	p.gate.Admit()
	answered(t, answers, "200 OK p ")
}

// It serves them itself if it can do so first.
func TestHold_UntilOpen(t *testing.T) {
	_, n, answers := holding(t, Config{}, echo(t, "n"), bodies...)
	n.gate.Admit()
	answered(t, answers, "200 OK n ")
}

// A peer that is known, and refuses, may be back a moment later.
func TestHold_PeerRefuses(t *testing.T) {
	f, _, answers := holding(t, Config{}, never(t), bodies...)
	p := f.add("p", Config{}, echo(t, "p"))
	f.Change(func() { p.Tags[TagGate] = "ready" }) // which is not so
	eventually(t, func() bool { return p.gate.handlers.entered() > 0 })
	p.gate.Admit()
	answered(t, answers, "200 OK p ")
}

// A front never serves by itself, so it waits for a peer although it is a caught-up member.
func TestHold_Front(t *testing.T) {
	f, n, answers := holding(t, Config{Role: cluster.Front}, never(t), bodies...)
	n.gate.Admit()
	p := f.add("p", Config{}, echo(t, "p"))
	p.gate.Admit()
	answered(t, answers, "200 OK p ")
}

func TestHold_EndsWithDrain(t *testing.T) {
	_, n, answers := holding(t, Config{}, never(t), bodies...)
	n.gate.Retire(t.Context())
	answered(t, answers, "503 ")
}

func TestHold_EndsWithClient(t *testing.T) {
	_, n, _ := holding(t, Config{}, never(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := http.DefaultTransport.RoundTrip(request(t, "GET", n.public.URL, nil).WithContext(ctx))
		ended <- err
	}()
	eventually(t, func() bool { return n.gate.held.Load() == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("the client was answered")
	}
	eventually(t, func() bool { return n.gate.held.Load() == 0 })
}

// Where nobody comes, the requests are answered all the same, and those that come later at once.
func TestHold_EndsInTime(t *testing.T) {
	f := newFakeFarm(t)
	n := f.add("n", Config{Hold: 50 * time.Millisecond}, never(t))
	res, body := get(t, n.public.URL)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "starting") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if time.Now().Before(n.gate.holdUntil) {
		t.Error("answered too early")
	}
	if n.gate.hold(t.Context(), nil, false) || n.gate.held.Load() != 0 {
		t.Error("a later request is kept")
	}
}

func TestHold_NotTooMany(t *testing.T) {
	f := newFakeFarm(t)
	n := f.add("n", Config{Hold: time.Hour}, never(t))
	n.gate.held.Store(maxHeld)
	if res, _ := get(t, n.public.URL); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	if got := n.gate.held.Load(); got != maxHeld {
		t.Errorf("%d are kept", got)
	}
}

// A health check is answered at once.
func TestHold_NotHealth(t *testing.T) {
	f := newFakeFarm(t)
	n := f.add("n", Config{Hold: time.Hour}, never(t))
	if res, _ := get(t, n.public.URL+"/readyz"); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
}
