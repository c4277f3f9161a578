package lane

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// rig is a node that forwards everything to another one over loopback.
type rig struct {
	t      testing.TB
	server *Server
	client *Client
	public *httptest.Server
	addr   atomic.Value // of the acceptor
	dials  atomic.Int32

	ended chan Outcome
}

func newRig(t testing.TB, h http.Handler) *rig {
	r := &rig{t: t, ended: make(chan Outcome, 10000)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.server = &Server{Logger: slog.New(slog.DiscardHandler)}
	r.server.Handle = func(w *Writer, req *http.Request, _ *Facts) { h.ServeHTTP(w, req) }
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.server.Serve(l)
	}()
	r.addr.Store(l.Addr().String())
	r.client = NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		r.dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.addr.Load().(string))
	}})
	r.public = httptest.NewServer(http.HandlerFunc(r.forward))
	t.Cleanup(func() {
		r.public.CloseClientConnections()
		r.public.Close()
		r.client.Close()
		l.Close()
		r.server.Close()
		<-served
	})
	return r
}

// text answers with fixed words.
func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) })
}

func (r *rig) forward(w http.ResponseWriter, req *http.Request) {
	facts := &Facts{Origin: "n1", Via: "N1", ID: "id", Scheme: "http", Attempt: 1}
	o := r.client.Do(w, req, &Attempt{Facts: facts, Upload: NewUpload(req)})
	r.ended <- o
	if o.Err != nil && o.State == attempt.Committed || o.Aborted {
		panic(http.ErrAbortHandler)
	}
	if o.Err != nil {
		http.Error(w, fmt.Sprint(o.State, ": ", o.Err), http.StatusBadGateway)
	}
}

func (r *rig) get(path string) string {
	r.t.Helper()
	return r.do("GET", path, nil)
}

func (r *rig) do(method, path string, body io.Reader) string {
	r.t.Helper()
	req, err := http.NewRequest(method, r.public.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := r.public.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Error(err)
	}
	return fmt.Sprint(res.StatusCode, " ", string(b))
}

// warm makes requests until there are lanes.
func (r *rig) warm() {
	for {
		r.get("/")
		<-r.ended
		if r.idle() > 0 {
			return
		}
	}
}

// idle returns how many lanes nobody uses.
func (r *rig) idle() int {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return len(r.client.idle)
}

// attempt makes a request of its own, without a server in front.
func (r *rig) attempt(ctx context.Context, method, path string, body io.Reader, f *Facts) (Outcome, string) {
	req := httptest.NewRequestWithContext(ctx, method, path, body)
	w := httptest.NewRecorder()
	o := r.client.Do(w, req, &Attempt{Facts: f, Upload: NewUpload(req)})
	return o, w.Body.String()
}

func someFacts() *Facts { return &Facts{ID: "id"} }

// lane takes an idle lane of the rig, once there is one.
func (r *rig) lane() *lane {
	var l *lane
	r.eventually(func() bool {
		if _, err := r.client.connect(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		l = r.client.take()
		return l != nil
	})
	return l
}

// oneLane leaves the client with one lane, which is idle.
func (r *rig) oneLane() *lane {
	l := r.lane()
	c := r.client
	r.eventually(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.dials == 0
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.idle {
		c.forgetLocked(other)
	}
	c.idle = nil
	c.putLocked(l)
	return l
}

// eventually waits for ok.
func (r *rig) eventually(ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(r.t, "waited a minute in vain")
		}
	}
}

// quiet reports whether nothing is under way at either end.
func (r *rig) quiet() bool {
	r.client.mu.Lock()
	lanes, idle, trunk := len(r.client.lanes), len(r.client.idle), r.client.trunk
	r.client.mu.Unlock()
	trunk.mu.Lock()
	streams := len(trunk.streams)
	trunk.mu.Unlock()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	running := 0
	for _, bd := range r.server.bundles {
		running += int(bd.running.Load())
		bd.trunk.mu.Lock()
		streams += len(bd.trunk.streams)
		bd.trunk.mu.Unlock()
	}
	return lanes == idle && streams == 0 && running == 0 && r.client.running.Load() == 0
}

// ledger counts how often the handler of each request was started.
type ledger struct {
	mu   sync.Mutex
	runs map[string]int
}

func (l *ledger) start(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id]++
}

func (l *ledger) of(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[id]
}
