package forward

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// fakeFarm stands for the cluster: members, their tags, and connections between them over loopback.
type fakeFarm struct {
	t  testing.TB
	mu sync.Mutex

	nodes   map[string]*fakeNode
	changed chan struct{} // closed and replaced at each change

	wire func(to string, c net.Conn) net.Conn // what Dial returns for a connection to that node; nil = the connection
}

// fakeNode is one member as its own Gate sees the cluster.
type fakeNode struct {
	farm      *fakeFarm
	id        string
	tags      map[string]string
	status    string
	role      cluster.Role
	listeners map[string]net.Listener // by protocol
	unreach   bool                    // dialling it fails

	gate   *Gate
	public *httptest.Server
}

func newFakeFarm(t testing.TB) *fakeFarm {
	return &fakeFarm{t: t, nodes: make(map[string]*fakeNode), changed: make(chan struct{})}
}

// add starts a node with a Gate in front of h. Its name is id in capitals.
func (f *fakeFarm) add(id string, cfg Config, h http.Handler) *fakeNode {
	f.t.Helper()
	listeners := make(map[string]net.Listener)
	for _, proto := range []string{Proto, ProtoText} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.t.Fatal(err)
		}
		listeners[proto] = l
	}
	n := &fakeNode{
		farm:      f,
		id:        id,
		status:    "alive",
		listeners: listeners,
		role:      cfg.Role,
		tags:      map[string]string{TagApp: cfg.App},
	}
	f.change(func() { f.nodes[id] = n })
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

func (f *fakeFarm) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeFarm) state() (cluster.State, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var st cluster.State
	for _, n := range f.nodes {
		tags := make(map[string]string)
		for k, v := range n.tags {
			tags[k] = v
		}
		st.Members = append(st.Members, cluster.Member{
			ID: n.id, Name: strings.ToUpper(n.id), Status: cluster.Status(n.status), Role: n.role, Tags: tags,
		})
	}
	return st, f.changed
}

func (n *fakeNode) Watch(ctx context.Context) iter.Seq[cluster.State] {
	return func(yield func(cluster.State) bool) {
		for {
			st, changed := n.farm.state()
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

func (n *fakeNode) SetTag(key, value string) error {
	n.farm.change(func() { n.tags[key] = value })
	return nil
}

func (n *fakeNode) Listener(proto string) net.Listener { return n.listeners[proto] }

func (n *fakeNode) Dial(ctx context.Context, id, proto string) (net.Conn, error) {
	n.farm.mu.Lock()
	to := n.farm.nodes[id]
	unreach := to != nil && to.unreach
	n.farm.mu.Unlock()
	if to == nil || unreach || to.listeners[proto] == nil {
		return nil, errors.New("unreachable")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", to.listeners[proto].Addr().String())
	if err == nil && n.farm.wire != nil {
		c = n.farm.wire(id, c)
	}
	return c, err
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
			t.Fatal("waited a minute in vain")
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
