package lane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// A client that goes costs no connection, and one frame on the trunk.
// Slow: a hundred requests over real sockets, each given up while it runs.
func TestAbort_KeepsLane(t *testing.T) {
	begun := make(chan struct{}, 100)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/hang" {
			begun <- struct{}{}
			<-req.Context().Done()
		}
	}))
	trunk := r.countTrunk()
	r.warm()
	before, wrote := r.dials.Load(), trunk.Load()
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
	// A request that found no idle lane went over the trunk; there is one of those for each dial at most.
	const frame, request, ping = headerSize + 9, 512, headerSize
	most := int64(aborts*frame + 8*request + 60*ping)
	if n := trunk.Load() - wrote; n < aborts*frame || n > most {
		t.Errorf("%d requests that were given up cost %d bytes on the trunk, want %d to %d", aborts, n, aborts*frame, most)
	}
}

// countTrunk counts what the dialler writes to the first connection, which is the trunk.
func (r *rig) countTrunk() *atomic.Int64 {
	wrote, dial := new(atomic.Int64), r.client.cfg.Dial
	r.client.cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err == nil && r.dials.Load() == 1 {
			c = &countingConn{c, wrote}
		}
		return c, err
	}
	return wrote
}

type countingConn struct {
	net.Conn
	wrote *atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.wrote.Add(int64(len(p))) // before the other end can have it
	return c.Conn.Write(p)
}

// A request that is given up costs no connection either, while its handler goes on as if nothing had
// happened.
// Slow: fifty handlers write 4 MiB each.
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
	r.eventually(func() bool { return left.Load() == times })
	if n := r.dials.Load() - before; n > 8 {
		t.Errorf("%d connections were dialled for %d requests that were given up", n, times)
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

// Handlers learn that their client has gone, also when the news overtakes the request.
func TestCancel_Overtakes(t *testing.T) {
	var running atomic.Int32
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/poll" {
			running.Add(1)
			defer running.Add(-1)
			<-req.Context().Done()
		}
	}))
	r.warm()
	done := make(chan struct{})
	for i := range 200 {
		go func() {
			defer func() { done <- struct{}{} }()
			cause := error(nil) // context.Canceled
			if i%2 == 0 {
				cause = errors.New("the node stops")
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			go cancel(cause)
			r.attempt(ctx, "GET", "/poll", nil, someFacts())
		}()
	}
	for range 200 {
		<-done
	}
	r.eventually(func() bool { return running.Load() == 0 }) // all handlers were told
}

// A CANCEL that has come before its request counts for that one, and for no other.
func TestServerLane_EarlyCancel(t *testing.T) {
	l := &serverLane{lane: &lane{}, bd: &bundle{}}
	l.cancel(5, true)
	for seq, want := range map[uint32]error{4: nil, 5: context.Canceled, 6: nil} {
		x := &exchange{}
		x.ctx, x.cancel = context.WithCancelCause(t.Context())
		l.seq.Store(seq - 1)
		if !l.start(x, seq) || context.Cause(x.ctx) != want || x.unwanted {
			t.Errorf("%d: %v, want %v", seq, context.Cause(x.ctx), want)
		}
	}
	l.seq.Store(5)
	l.cancel(6, false)
	x := &exchange{}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	if l.start(x, 6); !x.unwanted {
		t.Error("a request that was given up is started")
	}
}

// Lanes of a trunk that was lost have numbers that others have now.
func TestEndContext_OtherBundle(t *testing.T) {
	here, there := net.Pipe()
	c := NewClient(Config{})
	c.trunk, c.bundle = newTrunk(here), 2
	l := &lane{number: 1}
	c.lanes[l] = laneInfo{bundle: 1}
	c.endContext(l, 7)
	here.Close()
	if b, _ := io.ReadAll(there); len(b) > 0 {
		t.Errorf("%v was said about a lane of another trunk", parseFrame(b).kind)
	}
}

// An answer whose last frame has come leaves its lane free, though the client has gone.
func TestLastFrame_FreesLane(t *testing.T) {
	r := newRig(t, text("short"))
	l := r.oneLane()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	w := &giveUpWriter{ResponseRecorder: httptest.NewRecorder()}
	if o := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)}); o.Err == nil {
		t.Errorf("%+v", o)
	}
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	if len(r.client.idle) != 1 || r.client.idle[0] != l {
		t.Error("the lane is not free")
	}
}

// heldConn holds up what is written in frames of one kind, or what follows a write that contains some bytes.
type heldConn struct {
	net.Conn
	kind  kind
	hold  chan struct{} // a frame of the kind waits for it; nil = goes
	words []byte
	then  func() // called behind a write that contains words
}

func (c *heldConn) Write(b []byte) (int, error) {
	if c.hold != nil && len(b) >= headerSize && parseFrame(b).kind == c.kind {
		<-c.hold
	}
	n, err := c.Conn.Write(b)
	if c.then != nil && bytes.Contains(b, c.words) {
		c.then()
	}
	return n, err
}

// heldListener gives the acceptor such connections.
type heldListener struct {
	net.Listener
	kind kind
	hold chan struct{}
}

func (l *heldListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &heldConn{Conn: c, kind: l.kind, hold: l.hold}, nil
}

// A request is given up while its handler's question for the body, or for the mark, is on its way. The next
// request on that lane is nobody else's.
func TestGiveUp_WhileAsked(t *testing.T) {
	for _, k := range []kind{kAccept, kMark} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch req.URL.Path {
			case "/accept":
				io.Copy(io.Discard, req.Body)
			case "/mark":
				w.(*Writer).Mark()
			default:
				http.NewResponseController(w).EnableFullDuplex()
				io.Copy(w, req.Body)
			}
		}))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		hold := make(chan struct{})
		go r.server.Serve(&heldListener{l, k, hold})
		r.addr.Store(l.Addr().String())
		r.oneLane()
		why := errors.New("its time is over")
		ctx, cancel := context.WithCancelCause(t.Context())
		path, body := "/mark", io.Reader(nil)
		if k == kAccept {
			path, body = "/accept", strings.NewReader(strings.Repeat("A", 1<<20))
		}
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		if o, _ := r.attempt(ctx, "POST", path, body, &Facts{ID: "id", Marks: k == kMark}); !errors.Is(o.Err, why) {
			t.Errorf("%v: %+v", k, o)
		}
		close(hold)
		want := strings.Repeat("B", 3*chunk)
		for range 3 {
			o, got := r.attempt(t.Context(), "POST", "/next", strings.NewReader(want), someFacts())
			if o.Err != nil || got != want {
				t.Errorf("%v: the next request: %+v, %d bytes", k, o, len(got))
			}
		}
	}
}
