package forward

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/peertest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// fakeFarm is a cluster whose members have gates.
type fakeFarm struct {
	*peertest.Farm
	t testing.TB
}

// fakeNode is one of them.
type fakeNode struct {
	*peertest.Member
	farm   *fakeFarm
	gate   *Gate
	public *httptest.Server
}

func newFakeFarm(t testing.TB) *fakeFarm { return &fakeFarm{Farm: peertest.New(t), t: t} }

// add starts a node with a Gate in front of h. Its name is id in capitals.
func (f *fakeFarm) add(id string, cfg Config, h http.Handler) *fakeNode {
	f.t.Helper()
	n := &fakeNode{Member: f.Join(id, cfg.Role, map[string]string{TagApp: cfg.App}), farm: f}
	cfg.ID, cfg.Node = id, strings.ToUpper(id)
	cfg.Hold = cmp.Or(cfg.Hold, -1) // most tests are about what comes after it
	cfg.Logger = slog.New(slog.DiscardHandler)
	var err error
	n.gate, err = Open(n, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	n.public = httptest.NewServer(n.gate.Handler(h))
	f.t.Cleanup(func() {
		n.public.CloseClientConnections()
		n.public.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if n := n.gate.Idle(ctx); n != 0 {
			f.t.Errorf("%s: %d requests never ended", id, n)
		}
		n.gate.Close()
		for _, p := range n.gate.hop.peers { // Done may come a moment after the handler has returned
			eventually(f.t, func() bool { return p.pick.Status().InFlight == 0 })
		}
	})
	return n
}

// sees waits until n would choose exactly the peers named.
func (n *fakeNode) sees(ids ...string) {
	n.farm.t.Helper()
	want := strings.Join(ids, " ")
	eventually(n.farm.t, func() bool {
		var got []string
		for _, p := range *n.gate.hop.eligible.Load() {
			got = append(got, p.id)
		}
		if len(got) != len(ids) {
			return false
		}
		for _, id := range got {
			if !strings.Contains(" "+want+" ", " "+id+" ") {
				return false
			}
		}
		return true
	})
}

// eventually waits for a condition, for a minute at most.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(t, "waited a minute in vain")
		}
	}
}

// text answers with fixed words.
func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) })
}

// never fails the test when a request reaches it.
func never(t testing.TB) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached a handler that it should not reach", r.Method, r.URL)
	})
}

// fetch sends a request and returns the response with its body read.
func fetch(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return fetch(t, request(t, "GET", url, nil))
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
