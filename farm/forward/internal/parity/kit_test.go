package parity

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/peertest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// TestMain has many cases run at a time: they wait for one another's ends of connections more than for
// processors.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) {
		chosen = chosen || f.Name == "test.parallel" || strings.HasPrefix(f.Name, "test.fuzz")
	})
	if !chosen {
		flag.Set("test.parallel", "32")
	}
	os.Exit(ci.Main(m))
}

// member is one node of a farm whose members all have the same application.
type member struct {
	*peertest.Member
	gate   *forward.Gate
	public servers
}

// servers are the public listeners of a member: what a client can choose from.
type servers struct {
	plain *httptest.Server
	tls   *httptest.Server // HTTP/1.1 and HTTP/2
	hasty *httptest.Server // plain, and with timeouts that are over soon
}

// soon is how long a hasty server reads a body and writes an answer.
const soon = 300 * time.Millisecond

// add starts a member of a farm. Its public handler is what around makes of its gate's.
func add(t testing.TB, farm *peertest.Farm, id string, role cluster.Role, app http.Handler,
	around func(http.Handler) http.Handler) *member {
	t.Helper()
	m := &member{Member: farm.Join(id, role, map[string]string{forward.TagApp: ""})}
	var err error
	m.gate, err = forward.Open(m, forward.Config{ID: id, Node: strings.ToUpper(id), Role: role, Hold: -1,
		Linger: time.Nanosecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := around(m.gate.Handler(app))
	m.public = servers{plain: serve(h, 0), tls: serveTLS(h), hasty: serve(h, soon)}
	t.Cleanup(func() { m.close(t) })
	return m
}

func (m *member) close(t testing.TB) {
	for _, srv := range []*httptest.Server{m.public.plain, m.public.tls, m.public.hasty} {
		srv.CloseClientConnections()
		srv.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if n := m.gate.Idle(ctx); n != 0 {
		t.Errorf("%s: %d requests never ended", m.ID, n)
	}
	m.gate.Close()
}

// serve starts a server as farm.Serve configures it. timeout bounds reading a body and writing an answer, if
// it is not 0.
func serve(h http.Handler, timeout time.Duration) *httptest.Server {
	srv := unstarted(h)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = timeout, timeout
	srv.Start()
	return srv
}

func serveTLS(h http.Handler) *httptest.Server {
	srv := unstarted(h)
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	return srv
}

func unstarted(h http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ReadHeaderTimeout = 10 * time.Second
	srv.Config.IdleTimeout = 2 * time.Minute
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	return srv
}

// forwards reports whether a request that arrives at m runs elsewhere.
func (m *member) forwards(t testing.TB) bool {
	res, err := m.public.plain.Client().Get(m.public.plain.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.Header.Get("Ran-On") == "SERVING"
}

// until waits for a condition, for a minute at most.
func until(t testing.TB, otherwise string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(t, "%s", otherwise)
		}
	}
}

// way is one of the ways to the application, beside the direct way that it has to be equal to.
type way struct {
	name         string
	direct, hops servers
}

// ways starts three farms: one whose node serves by itself, the same with a word about the end of each
// connection, and one with two nodes that forward to a third one: a front, and a node that drains and says
// that word.
func ways(t testing.TB, app http.Handler) []way {
	t.Helper()
	as := func(h http.Handler) http.Handler { return h }
	alone := add(t, peertest.New(t), "alone", cluster.Ordinary, app, as)
	ending := add(t, peertest.New(t), "ending", cluster.Ordinary, app, closing)
	farm := peertest.New(t)
	serving := add(t, farm, "serving", cluster.Ordinary, app, as)
	front := add(t, farm, "front", cluster.Front, app, as)
	drained := add(t, farm, "drained", cluster.Ordinary, app, as)
	for _, m := range []*member{alone, ending, serving, front, drained} {
		m.gate.Admit()
	}
	for _, m := range []*member{alone, ending, serving, front} {
		until(t, m.ID+" is not ready", func() bool { return m.gate.Ready() == nil })
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	drained.gate.Retire(ctx)
	for _, m := range []*member{front, drained} {
		until(t, m.ID+" does not forward", func() bool { return m.forwards(t) })
	}
	return []way{{"front", alone.public, front.public}, {"draining", ending.public, drained.public}}
}

// closing says what a node that drains says: this is the last answer of the connection.
func closing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		h.ServeHTTP(w, r)
	})
}

func (s servers) of(kind string) *httptest.Server {
	switch cmp.Or(kind, "plain") {
	case "plain":
		return s.plain
	case "tls", "tls-plain":
		return s.tls
	case "hasty":
		return s.hasty
	}
	panic("no such server: " + kind)
}
