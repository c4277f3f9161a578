package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

var errCut = errors.New("cut")

// cutConn is a connection that is cut after so many bytes in one direction, once it is armed.
type cutConn struct {
	net.Conn
	mu    sync.Mutex
	armed bool
	read  int // bytes that may be read; -1 = any number
	write int
}

func (c *cutConn) arm(read, write int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.read, c.write = true, read, write
}

// allow returns how many of n bytes pass, and whether that is the end.
func (c *cutConn) allow(n int, left *int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed || *left < 0 || n < *left {
		if c.armed && *left > 0 {
			*left -= n
		}
		return n, false
	}
	n, *left = *left, 0
	return n, true
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, end := c.allow(len(b), &c.write)
	if !end {
		return c.Conn.Write(b)
	}
	n, _ = c.Conn.Write(b[:n])
	c.Conn.Close()
	return n, errCut
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	n, end := c.allow(n, &c.read)
	if end {
		c.Conn.Close()
		return n, errCut
	}
	return n, err
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

// Wherever a lane is cut, the outcome tells the truth: what is called not started never is, and an answer
// that is called whole is.
func TestCut_EveryOffset(t *testing.T) {
	book := &ledger{runs: make(map[string]int)}
	answer := strings.Repeat("a", 300)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		book.start(req.URL.Path)
		b, _ := io.ReadAll(req.Body)
		io.WriteString(w, answer)
		w.(http.Flusher).Flush()
		w.Write(b)
	}))
	var last atomic.Pointer[cutConn]
	plain := r.client.cfg.Dial
	r.client.cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		cut := &cutConn{Conn: c}
		last.Store(cut)
		return cut, nil
	}
	states := make(map[attempt.State]int)
	check := func(name string, read, write int) (whole bool) {
		l := r.lane()
		l.Conn.(*cutConn).arm(read, write)
		r.client.put(l)
		path := "/" + name
		req := httptest.NewRequest("POST", path, strings.NewReader("body"))
		w := httptest.NewRecorder()
		o := r.client.Do(w, req, &Attempt{Facts: &Facts{ID: "id"}, Upload: NewUpload(req)})
		states[o.State]++
		switch runs := book.of(path); {
		case o.Err == nil:
			if runs != 1 || w.Body.String() != answer+"body" {
				t.Errorf("%s: %d runs, %d bytes of the answer", name, runs, w.Body.Len())
			}
			return true
		case o.State == attempt.Committed:
			if got := w.Body.String(); runs != 1 || !strings.HasPrefix(answer+"body", got) {
				t.Errorf("%s: %d runs, %q", name, runs, got)
			}
		case runs > 1 || runs > 0 && (o.State.Undone()):
			t.Errorf("%s: %d runs, and the outcome is %v: %v", name, runs, o.State, o.Err)
		}
		return false
	}
	for k := 0; !check(fmt.Sprint("write", k), -1, k); k++ {
	}
	for k := 0; !check(fmt.Sprint("read", k), k, -1); k++ {
	}
	time.Sleep(10 * time.Millisecond) // for what must not be started any more
	for id, n := range book.runs {
		if n > 1 {
			t.Errorf("%s was started %d times", id, n)
		}
	}
	for _, s := range []attempt.State{attempt.NotSent, attempt.Sent, attempt.Committed} {
		if states[s] == 0 {
			t.Errorf("no case is %v: %v", s, states)
		}
	}
}

// lane takes an idle lane of the rig, once there is one.
func (r *rig) lane() *lane {
	for {
		if _, err := r.client.connect(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		if l := r.client.take(); l != nil {
			return l
		}
		time.Sleep(time.Millisecond)
	}
}

// A peer that starts anew is found again, whatever was open, and a request in between is lost or not sent.
func TestPeerRestarts(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, "ok") }))
	r.warm()
	first := r.server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := &Server{Handle: first.Handle, Logger: first.Logger}
	go next.Serve(l)
	defer next.Close()
	r.client.mu.Lock()
	trunk := r.client.trunk
	r.client.mu.Unlock()
	r.addr.Store(l.Addr().String())
	first.Close()
	<-trunk.ended
	for r.idle() > 0 { // lanes of before
		time.Sleep(time.Millisecond)
	}
	for range 20 {
		if got := r.do("POST", "/", strings.NewReader("x")); got != "200 ok" {
			t.Error(got)
		}
		<-r.ended
	}
}

// Many requests of all kinds at once, many of them given up: each client gets its own bytes, and nothing is
// left.
func TestChaos(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Echo", req.URL.Path)
		switch req.Header.Get("Kind") {
		case "flush":
			for range 20 {
				io.WriteString(w, req.URL.Path)
				w.(http.Flusher).Flush()
			}
		case "large":
			io.WriteString(w, strings.Repeat(req.URL.Path, 2000))
		default:
			http.NewResponseController(w).EnableFullDuplex()
			io.Copy(w, req.Body)
		}
	}))
	var wg sync.WaitGroup
	for g := range 24 {
		wg.Go(func() {
			for i := range 30 {
				r.chaos(g, i)
			}
		})
	}
	wg.Wait()
	end := time.Now().Add(time.Minute)
	for !r.quiet() {
		if time.Now().After(end) {
			t.Fatal("something is left")
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *rig) chaos(g, i int) {
	path := fmt.Sprintf("/%d-%d/", g, i)
	kinds := []string{"echo", "flush", "large"}
	kind, size := kinds[(g+i)%3], []int{0, 10, chunk + 1, 200 << 10}[(g*7+i)%4]
	body := strings.Repeat(path, size/len(path)+1)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	req := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body))
	req.Header.Set("Kind", kind)
	if i%5 == 0 {
		req.Header.Set("Accept", "text/event-stream")
	}
	w := &giveUpWriter{ResponseRecorder: httptest.NewRecorder(), left: 1 << 30}
	switch i % 4 {
	case 0:
		w.left = i * 1000 // the client goes at some byte
	case 1:
		time.AfterFunc(time.Duration(i)*100*time.Microsecond, func() { cancel(errors.New("the node stops")) })
	}
	o := r.client.Do(w, req, &Attempt{Facts: &Facts{ID: "id"}, Upload: NewUpload(req)})
	want := map[string]string{"echo": body, "flush": strings.Repeat(path, 20), "large": strings.Repeat(path, 2000)}[kind]
	got := w.Body.String()
	switch {
	case o.Err == nil && got != want:
		r.t.Errorf("%s %s: %d bytes, want %d", kind, path, len(got), len(want))
	case !strings.HasPrefix(want, got):
		r.t.Errorf("%s %s: the answer is another's: %.40q", kind, path, got)
	case o.Err != nil && !o.GaveUp:
		r.t.Errorf("%s %s: %+v", kind, path, o)
	}
}

// giveUpWriter is a client that goes after so many bytes.
type giveUpWriter struct {
	*httptest.ResponseRecorder
	left int
}

func (w *giveUpWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return w.ResponseRecorder.Write(p)
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

// Requests that come just when idle lanes are closed are neither lost nor run twice.
func TestIdleBoundary(t *testing.T) {
	requests, workers := 4000, 16
	if ci.Torture() {
		requests = 1_000_000
	}
	book := &ledger{runs: make(map[string]int)}
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		book.start(req.URL.Path)
		io.Copy(w, req.Body)
	}))
	const idle = 2 * time.Millisecond
	r.client.idleFor, r.client.warm = idle, 0
	var wg sync.WaitGroup
	for g := range workers {
		wg.Go(func() {
			for i := range requests / workers {
				path := fmt.Sprintf("/%d-%d", g, i)
				o, got := r.attempt(t.Context(), "POST", path, strings.NewReader(path), someFacts())
				if n := book.of(path); o.Err != nil || got != path || n != 1 {
					t.Errorf("%s: %d runs, %q, %+v", path, n, got, o)
				}
				if i%8 == 0 {
					<-time.After(idle + time.Duration(i%5-2)*idle/4) // at the boundary, and on both sides of it
				}
			}
		})
	}
	wg.Wait()
	if r.dials.Load() < 3 {
		t.Errorf("%d connections were dialled: no lane was closed", r.dials.Load())
	}
}
