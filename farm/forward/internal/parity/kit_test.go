package parity

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"iter"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward"
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
	os.Exit(m.Run())
}

// site is a farm over loopback whose members all have the same application.
type site struct {
	mu      sync.Mutex
	members map[string]*member
	changed chan struct{} // closed and replaced at each change
}

// member is one node of a site, as its own Gate sees the cluster.
type member struct {
	site *site
	role cluster.Role
	tags map[string]string // guarded by site.mu
	id   string
	gate *forward.Gate

	mu        sync.Mutex
	listeners map[string]net.Listener // by protocol; guarded by mu

	public servers
}

// servers are the public listeners of a member: what a client can choose from.
type servers struct {
	plain *httptest.Server
	tls   *httptest.Server // HTTP/1.1 and HTTP/2
	hasty *httptest.Server // plain, and with timeouts that are over soon
}

// soon is how long a hasty server reads a body and writes an answer.
const soon = 50 * time.Millisecond

func newSite() *site { return &site{members: make(map[string]*member), changed: make(chan struct{})} }

// add starts a member. Its public handler is what around makes of its gate's.
func (s *site) add(t testing.TB, id string, role cluster.Role, app http.Handler,
	around func(http.Handler) http.Handler) *member {
	t.Helper()
	m := &member{site: s, role: role, tags: map[string]string{forward.TagApp: ""}, id: id,
		listeners: make(map[string]net.Listener)}
	s.change(func() { s.members[id] = m })
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
		t.Errorf("%s: %d requests never ended", m.id, n)
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

func (s *site) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *site) state() (cluster.State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var st cluster.State
	for _, m := range s.members {
		tags := make(map[string]string)
		for k, v := range m.tags {
			tags[k] = v
		}
		st.Members = append(st.Members, cluster.Member{ID: m.id, Name: strings.ToUpper(m.id), Status: cluster.Alive,
			Role: m.role, Tags: tags})
	}
	return st, s.changed
}

func (m *member) Watch(ctx context.Context) iter.Seq[cluster.State] {
	return func(yield func(cluster.State) bool) {
		for {
			st, changed := m.site.state()
			if !yield(st) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (m *member) SetTag(key, value string) error {
	m.site.change(func() { m.tags[key] = value })
	return nil
}

// Listener has a port of its own for each protocol, whatever it is called.
func (m *member) Listener(proto string) net.Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners[proto] == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err) // a test without loopback
		}
		m.listeners[proto] = l
	}
	return m.listeners[proto]
}

func (m *member) Dial(ctx context.Context, id, proto string) (net.Conn, error) {
	m.site.mu.Lock()
	to := m.site.members[id]
	m.site.mu.Unlock()
	if to == nil {
		return nil, errors.New("no such member: " + id)
	}
	to.mu.Lock()
	l := to.listeners[proto]
	to.mu.Unlock()
	if l == nil {
		return nil, errors.New(id + " does not speak " + proto)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", l.Addr().String())
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
			t.Fatal(otherwise)
		}
	}
}

// way is one of the ways to the application, beside the direct way that it has to be equal to.
type way struct {
	name         string
	direct, hops servers
}

// ways starts three sites: one whose node serves by itself, the same with a word about the end of each
// connection, and one with two nodes that forward to a third one: a front, and a node that drains and says
// that word.
func ways(t testing.TB, app http.Handler) []way {
	t.Helper()
	as := func(h http.Handler) http.Handler { return h }
	alone := newSite().add(t, "alone", cluster.Ordinary, app, as)
	ending := newSite().add(t, "ending", cluster.Ordinary, app, closing)
	s := newSite()
	serving := s.add(t, "serving", cluster.Ordinary, app, as)
	front := s.add(t, "front", cluster.Front, app, as)
	drained := s.add(t, "drained", cluster.Ordinary, app, as)
	for _, m := range []*member{alone, ending, serving, front, drained} {
		m.gate.Admit()
	}
	for _, m := range []*member{alone, ending, serving, front} {
		until(t, m.id+" is not ready", func() bool { return m.gate.Ready() == nil })
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	drained.gate.Retire(ctx)
	for _, m := range []*member{front, drained} {
		until(t, m.id+" does not forward", func() bool { return m.forwards(t) })
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
