package lane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
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
	r.server = &Server{Logger: slog.New(slog.DiscardHandler), Handle: func(w *Writer, req *http.Request, f *Facts) {
		h.ServeHTTP(w, req)
	}}
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

func (r *rig) forward(w http.ResponseWriter, req *http.Request) {
	o := r.client.Do(w, req, &Attempt{Facts: &Facts{Origin: "n1", Via: "N1", ID: "id", Scheme: "http", Attempt: 1},
		Upload: NewUpload(req)})
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

func TestExchange(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %d %v", req.Method, req.RequestURI, len(b), err)
	}))
	for range 3 { // over the trunk, and then over lanes
		for _, size := range []int{0, 1, chunk, chunk + 1, 1 << 20} {
			want := fmt.Sprintf("200 POST /a?b %d <nil>", size)
			if got := r.do("POST", "/a?b", strings.NewReader(strings.Repeat("x", size))); got != want {
				t.Errorf("%d bytes: %q, want %q", size, got, want)
			}
			if o := <-r.ended; o.Err != nil || o.State != attempt.Committed || o.Status != 200 {
				t.Errorf("%d bytes: %+v", size, o)
			}
		}
		r.warm()
	}
}

func TestAnswer_Large(t *testing.T) {
	want := strings.Repeat("0123456789abcdef", 1<<16)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, want) }))
	for range 3 {
		if got := r.get("/"); got != "200 "+want {
			t.Errorf("got %d bytes, want %d", len(got), len(want)+4)
		}
		<-r.ended
		r.warm()
	}
}

// A client that goes costs no connection.
func TestAbort_KeepsLane(t *testing.T) {
	begun := make(chan struct{}, 100)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/hang" {
			begun <- struct{}{}
			<-req.Context().Done()
		}
	}))
	r.warm()
	before := r.dials.Load()
	const aborts = 100
	for range aborts {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", r.public.URL+"/hang", nil)
		go func() {
			<-begun
			cancel()
		}()
		if _, err := r.public.Client().Do(req); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if o := <-r.ended; o.Err != nil {
			t.Errorf("%+v", o)
		}
	}
	if n := r.dials.Load() - before; n > 8 {
		t.Errorf("%d connections were dialled for %d requests that were given up", n, aborts)
	}
}

// A request that is given up costs no connection either, while its handler goes on as if nothing had
// happened.
func TestGiveUp_KeepsLane(t *testing.T) {
	begun, release := make(chan struct{}, 100), make(chan struct{})
	var left atomic.Int32
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/hang" {
			return
		}
		begun <- struct{}{}
		<-release
		io.WriteString(w, strings.Repeat("late", 1<<20))
		left.Add(1)
	}))
	r.warm()
	before := r.dials.Load()
	const times = 50
	why := errors.New("the node stops")
	for range times {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-begun
			cancel(why)
		}()
		req := httptest.NewRequestWithContext(ctx, "GET", "/hang", nil)
		o := r.client.Do(httptest.NewRecorder(), req, &Attempt{Facts: &Facts{ID: "id"}, Upload: NewUpload(req)})
		if !o.GaveUp || o.State != attempt.Sent || !errors.Is(o.Err, why) {
			t.Errorf("%+v", o)
		}
		if got := r.get("/"); got != "200 " {
			t.Error(got)
		}
		<-r.ended
	}
	close(release)
	for left.Load() < times {
		time.Sleep(time.Millisecond)
	}
	if n := r.dials.Load() - before; n > 8 {
		t.Errorf("%d connections were dialled for %d requests that were given up", n, times)
	}
}

func TestRefuse(t *testing.T) {
	r := newRig(t, http.NotFoundHandler())
	r.server.Handle = func(w *Writer, req *http.Request, f *Facts) {
		w.Refuse(Refusal{Reason: "busy", Busy: true, RetryAfter: 3})
	}
	for range 3 {
		r.do("POST", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
		if o := <-r.ended; o.State != attempt.Refused || o.Refusal != (Refusal{Reason: "busy", Busy: true, RetryAfter: 3}) {
			t.Errorf("%+v", o)
		}
	}
}

func TestPanic(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oops")
	}))
	if got := r.get("/"); !strings.HasPrefix(got, "502 started") {
		t.Error(got)
	}
	if o := <-r.ended; !o.Panicked || o.State != attempt.Started {
		t.Errorf("%+v", o)
	}
	if _, err := r.public.Client().Get(r.public.URL + "/abort"); err == nil {
		t.Error("the connection was not cut")
	}
}

// A handler that ends its goroutine ends its exchange, and the lane goes on.
func TestGoexit_KeepsLane(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/exit" {
			runtime.Goexit()
		}
	}))
	r.warm()
	before := r.dials.Load()
	for range 20 {
		if _, err := r.public.Client().Get(r.public.URL + "/exit"); err == nil {
			t.Error("the connection was not cut")
		}
		if o := <-r.ended; !o.Aborted {
			t.Errorf("%+v", o)
		}
	}
	if n := r.dials.Load() - before; n > 8 {
		t.Errorf("%d connections were dialled for 20 requests", n)
	}
}

func TestTunnel(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		for {
			line, err := brw.ReadString('\n')
			if err != nil {
				io.WriteString(conn, "bye "+err.Error())
				return
			}
			io.WriteString(conn, line)
		}
	}))
	for range 2 {
		c, err := net.Dial("tcp", r.public.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly\n")
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatal(res, err)
		}
		io.WriteString(c, "later\n")
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(br); string(b) != "early\nlater\nbye EOF" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		c.Close()
		if o := <-r.ended; o.Err != nil || o.State != attempt.Committed {
			t.Errorf("%+v", o)
		}
	}
}

// A handler that is told that its client has gone, on a lane and on the trunk.
func TestCancel_ReachesHandler(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan error)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/" {
			w.(http.Flusher).Flush()
			begun <- struct{}{}
			<-req.Context().Done()
			gone <- context.Cause(req.Context())
		}
	}))
	r.warm()
	for _, accept := range []string{"text/event-stream", "*/*"} {
		req, _ := http.NewRequest("GET", r.public.URL+"/events", nil)
		req.Header.Set("Accept", accept)
		res, err := r.public.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		res.Body.Close()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cause %v", accept, err)
		}
	}
}

// A handler that takes over the connection of a request whose short body comes late finds that body there, before what follows.
func TestTunnel_LateShortBody(t *testing.T) {
	for _, upgrade := range []string{"", "Connection: Upgrade\r\nUpgrade: echo\r\n"} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, brw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			line, err := brw.ReadString('\n')
			fmt.Fprint(conn, line, err)
		}))
		c, err := net.Dial("tcp", r.public.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\n"+upgrade+"Content-Length: 4\r\n\r\nbo")
		time.Sleep(5 * shortWait)
		io.WriteString(c, "dybye\n")
		if b, err := io.ReadAll(c); string(b) != "bodybye\n<nil>" || err != nil {
			t.Errorf("%q: %q, %v", upgrade, b, err)
		}
		c.Close()
		<-r.ended
	}
}
