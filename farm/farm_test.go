// Slow: nodes in memory listen for three seconds before they found a farm.
package farm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	ci.Beside(2) // they wait for nodes, which do so themselves
	ci.LessGC()
	os.Exit(ci.Main(m))
}

const patience = time.Minute

// served is a farm with a running Serve.
type served struct {
	*farm.Farm
	t    *testing.T
	stop context.CancelFunc
	err  chan error
}

// serve opens a node on free ports of loopback and serves h, the application of these tests if nil.
func serve(t *testing.T, cfg farm.Config, h http.Handler) *served {
	t.Helper()
	f := open(t, cfg)
	ctx, stop := context.WithCancel(context.Background())
	s := &served{Farm: f, t: t, stop: stop, err: make(chan error, 1)}
	if h == nil {
		h = app()
	}
	go func() { s.err <- f.Serve(ctx, h) }()
	t.Cleanup(func() {
		stop()
		f.Close()
	})
	return s
}

// inMemory, as Dir, is for nodes without a data directory.
const inMemory = "in memory"

// open opens a node. It has a data directory, so that the first one can be told that it is alone, and need not listen
// for others for three seconds.
func open(t *testing.T, cfg farm.Config) *farm.Farm {
	t.Helper()
	switch {
	case cfg.Dir == inMemory:
		cfg.Dir = ""
	case cfg.Dir == "":
		cfg.Dir = t.TempDir()
		if cfg.Join == nil && cfg.Cluster.Expect == 0 {
			cfg.Cluster.Expect = 1
		}
	}
	if cfg.HTTP == "" {
		cfg.HTTP = "127.0.0.1:0"
	}
	cfg.Session.Cookie.Insecure = true
	cfg.Logger = quiet
	f, err := farm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (s *served) ready() *served {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ci.Awaited(s.t, "ready", s.Ready(ctx))
	return s
}

func (s *served) peer() string { return s.Cluster().Addr() }

// app is a small application: it says who served, and counts.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		info := farm.Info(r.Context())
		json.NewEncoder(w).Encode(who{info.Node, info.Via, r.RemoteAddr, farm.RequestID(r.Context()), info.Forwarded()})
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(n)
	})
	return mux
}

type who struct {
	Node, Via, Client, ID string
	Forwarded             bool
}

// do sends a request and decodes the JSON of a good answer into v, if that is not nil.
func do(t *testing.T, c *http.Client, method, url string, v any) *http.Response {
	t.Helper()
	res, err := try(c, method, url, v)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func try(c *http.Client, method, url string, v any) (*http.Response, error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(b)) // for who wants to say what it was
	if err != nil || v == nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", method, url, err, b)
	}
	return res, nil
}

func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

func TestFarm_Life(t *testing.T) {
	t.Parallel()
	s := serve(t, farm.Config{Name: "n1", Dir: inMemory}, nil).ready()
	c, url := visitor(t), "http://"+s.Addr()
	for _, addr := range []string{s.Addr(), s.AdminAddr()} {
		if res := do(t, c, "GET", "http://"+addr+"/readyz", nil); res.StatusCode != 200 {
			t.Errorf("readyz: %d", res.StatusCode)
		}
	}
	if res := do(t, c, "GET", "http://"+s.AdminAddr()+"/who", nil); res.StatusCode != 404 {
		t.Errorf("the application on the admin port: %d", res.StatusCode)
	}
	var w who
	res := do(t, c, "GET", url+"/who", &w)
	if w.Node != "n1" || w.Forwarded || w.ID == "" || w.ID != res.Header.Get("X-Request-Id") {
		t.Errorf("who %+v", w)
	}
	var n int
	for want := 1; want <= 3; want++ {
		if do(t, c, "POST", url+"/count", &n); n != want {
			t.Errorf("count %d, want %d", n, want)
		}
	}
	s.stop()
	if err := <-s.err; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, farm.ErrClosed) {
		t.Errorf("Ready after Close: %v", err)
	}
	if err := s.Serve(t.Context(), app()); !errors.Is(err, farm.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}

// A node without a farm answers from the first moment on, and says that it cannot serve yet.
func TestFarm_NotReady(t *testing.T) {
	t.Parallel()
	s := serve(t, farm.Config{Name: "n1", Join: []string{"127.0.0.1:1"}}, nil)
	c, url := visitor(t), "http://"+s.Addr()
	if res := do(t, c, "GET", url+"/livez", nil); res.StatusCode != 200 {
		t.Errorf("livez: %d", res.StatusCode)
	}
	if res := do(t, c, "GET", url+"/readyz", nil); res.StatusCode != 503 {
		t.Errorf("readyz: %d", res.StatusCode)
	}
	if res := do(t, c, "GET", url+"/who", nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the application: %d", res.StatusCode)
	}
}

func TestFarm_CloseEndsServe(t *testing.T) {
	t.Parallel()
	s := serve(t, farm.Config{}, nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-s.err; !errors.Is(err, farm.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, farm.ErrClosed) {
		t.Errorf("Ready: %v", err)
	}
}

func TestFarm_ReadyGivesUp(t *testing.T) {
	t.Parallel()
	f := open(t, farm.Config{Join: []string{"127.0.0.1:1"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A front forwards everything: what the gate of a starting or draining node does, at a moment of the test's choice.
func TestFarm_Forwards(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a", App: "test"}, nil).ready()
	other := serve(t, farm.Config{Name: "other", App: "something else", Join: []string{a.peer()}}, http.NotFoundHandler())
	front := serve(t, farm.Config{Name: "front", App: "test", Role: cluster.Front, Join: []string{a.peer()}}, nil).ready()
	other.ready()
	c := visitor(t)
	var w who
	for range 10 { // never the other application
		eventually(t, func() bool { return do(t, c, "GET", "http://"+front.Addr()+"/who", &w).StatusCode == 200 })
		host, _, err := net.SplitHostPort(w.Client)
		if w.Node != "a" || w.Via != "front" || !w.Forwarded || err != nil || host != "127.0.0.1" {
			t.Fatalf("who %+v", w)
		}
	}
	var n int
	do(t, c, "POST", "http://"+front.Addr()+"/count", &n)
	do(t, c, "POST", "http://"+a.Addr()+"/count", &n)
	if n != 2 {
		t.Errorf("count %d: the session of a forwarded request is another", n)
	}
}

func TestFarm_DrainHandsOver(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a", Dir: inMemory}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Dir: inMemory, Join: []string{a.peer()}, Forward: forward.Config{Linger: time.Hour}}, nil).ready()
	c := visitor(t)
	eventually(t, func() bool { // b sees that a is ready
		m, _ := b.Cluster().State().Member(a.Cluster().ID())
		return m.Tags["gate"] == "ready"
	})
	var w who
	if do(t, c, "GET", "http://"+b.Addr()+"/who", &w); w.Node != "b" {
		t.Fatalf("who %+v", w)
	}
	b.stop()
	eventually(t, func() bool { return do(t, c, "GET", "http://"+b.Addr()+"/readyz", nil).StatusCode == 503 })
	res := do(t, c, "GET", "http://"+b.Addr()+"/who", &w)
	if w.Node != "a" || w.Via != "b" || !res.Close {
		t.Errorf("who %+v, close %v", w, res.Close)
	}
	if m, _ := a.Cluster().State().Member(b.Cluster().ID()); m.Status != cluster.Alive {
		t.Errorf("%s is %s: it drains, and has not gone", m.Name, m.Status)
	}
}

// While a node drains under load, no client notices: every write is acknowledged, once, whoever carries it out.
func TestFarm_DrainUnderLoad(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a", Dir: inMemory}, nil).ready()
	linger := forward.Config{Linger: 30 * time.Second} // ends after a tenth of it without a request, which a busy machine must not take
	b := serve(t, farm.Config{Name: "b", Dir: inMemory, Join: []string{a.peer()}, Forward: linger}, nil).ready()
	eventually(t, func() bool {
		m, _ := b.Cluster().State().Member(a.Cluster().ID())
		return m.Tags["gate"] == "ready"
	})
	const clients, requests = 6, 60
	var wg sync.WaitGroup
	var sent atomic.Int32
	for range clients {
		c := visitor(t)
		c.Transport = &http.Transport{} // keeps its connections, as browsers do
		wg.Go(func() {
			defer c.CloseIdleConnections()
			for want := 1; want <= requests; want++ {
				var n int
				if res, err := try(c, "POST", "http://"+b.Addr()+"/count", &n); err != nil || n != want {
					if err == nil {
						why, _ := io.ReadAll(res.Body)
						err = fmt.Errorf("%s %s", res.Status, why)
					}
					t.Errorf("count %d, %v; want %d", n, err, want)
					return
				}
				if sent.Add(1) == clients*requests/3 {
					b.stop()
				}
			}
		})
	}
	wg.Wait()
	if err := <-b.err; err != nil {
		t.Error(err)
	}
	var w who
	if do(t, visitor(t), "GET", "http://"+a.Addr()+"/who", &w); w.Node != "a" {
		t.Errorf("who %+v", w)
	}
}

func TestFarm_CutsOffAtTheEnd(t *testing.T) {
	t.Parallel()
	begun, cause := make(chan struct{}), make(chan error, 1)
	s := serve(t, farm.Config{Forward: forward.Config{DrainTimeout: 200 * time.Millisecond}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
		})).ready()
	go http.Get("http://" + s.Addr())
	<-begun
	s.stop()
	if err := <-s.err; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-cause; err == nil {
		t.Error("no cause")
	}
}

func TestFarm_FinishesRunningRequests(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, farm.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "whole")
	})).ready()
	answer := make(chan string)
	go func() {
		res, err := http.Get("http://" + s.Addr())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-begun
	s.stop()
	eventually(t, func() bool { // it accepts nobody any more
		conn, err := net.Dial("tcp", s.Addr())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(finish)
	if got := <-answer; got != "whole" {
		t.Error(got)
	}
	if err := <-s.err; err != nil {
		t.Error(err)
	}
}

func TestFarm_OwnServer(t *testing.T) {
	t.Parallel()
	f := open(t, farm.Config{HTTP: farm.None})
	if err := f.Serve(t.Context(), app()); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("Serve without a port: %v", err)
	}
	srv := httptest.NewServer(f.Handler(app()))
	defer srv.Close()
	if err := f.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	if do(t, visitor(t), "POST", srv.URL+"/count", &n); n != 1 {
		t.Errorf("count %d", n)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if res := do(t, visitor(t), "GET", srv.URL+"/readyz", nil); res.StatusCode != 503 {
		t.Errorf("readyz after Drain: %d", res.StatusCode)
	}
}

func TestFarm_HandlerIsOutermostAndOnce(t *testing.T) {
	t.Parallel()
	f := open(t, farm.Config{HTTP: farm.None})
	h := f.Handler(app())
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "installed already") {
			t.Errorf("panic %q", s)
		}
	}()
	f.Handler(h)
}

func TestFarm_NilHandler(t *testing.T) {
	t.Parallel()
	f := open(t, farm.Config{})
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "nil") {
			t.Errorf("panic %q", s)
		}
	}()
	f.Serve(t.Context(), nil)
}

func TestFarm_TLS(t *testing.T) {
	t.Parallel()
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	defer certs.Close()
	s := serve(t, farm.Config{Server: &http.Server{TLSConfig: &tls.Config{Certificates: certs.TLS.Certificates}}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Proto+" "+farm.Info(r.Context()).Scheme)
		})).ready()
	res, err := certs.Client().Get("https://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); !strings.HasSuffix(string(b), "https") {
		t.Errorf("got %q", b)
	}
}

// The farm refuses a second node of one name for good: Serve ends with that error.
func TestFarm_Refused(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "same"}, nil).ready()
	b := serve(t, farm.Config{Name: "same", Join: []string{a.peer()}}, nil)
	select {
	case err := <-b.err:
		if !errors.Is(err, cluster.ErrNameTaken) {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		ci.Latef(t, "Serve goes on")
	}
	if err := b.Ready(t.Context()); !errors.Is(err, cluster.ErrNameTaken) {
		t.Errorf("Ready: %v", err)
	}
}

func TestFarm_Leave(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}, LeaveOnStop: true}, nil).ready()
	id := b.Cluster().ID()
	b.stop()
	if err := <-b.err; err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		m, ok := a.Cluster().State().Member(id)
		return !ok || m.Vote == ""
	})
	var n int
	if do(t, visitor(t), "POST", "http://"+a.Addr()+"/count", &n); n != 1 {
		t.Error("the one that stayed cannot write")
	}
}

func TestTwoFarmsInOneProcess(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Farm: "one", Name: "n"}, nil)
	b := serve(t, farm.Config{Farm: "two", Name: "n"}, nil)
	a.ready()
	b.ready()
	var n int
	for _, s := range []*served{a, b} {
		if do(t, visitor(t), "POST", "http://"+s.Addr()+"/count", &n); n != 1 {
			t.Errorf("count %d", n)
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(t, "waited in vain")
		}
	}
}
