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

// attempt makes a request of its own, without a server in front.
func (r *rig) attempt(ctx context.Context, method, path string, body io.Reader, f *Facts) (Outcome, string) {
	req := httptest.NewRequestWithContext(ctx, method, path, body)
	w := httptest.NewRecorder()
	o := r.client.Do(w, req, &Attempt{Facts: f, Upload: NewUpload(req)})
	return o, w.Body.String()
}

func someFacts() *Facts { return &Facts{ID: "id"} }

// oneLane leaves the client with one lane, which is idle.
func (r *rig) oneLane() *lane {
	l := r.lane()
	c := r.client
	for {
		c.mu.Lock()
		if c.dials == 0 {
			break
		}
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	defer c.mu.Unlock()
	for _, other := range c.idle {
		c.forgetLocked(other)
	}
	c.idle = nil
	c.putLocked(l)
	return l
}

// What was written may have been served, though the trunk is lost before its writer knows that it is written.
func TestTrunkLost_BehindTheRequest(t *testing.T) {
	served := make(chan struct{}, 1)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		served <- struct{}{}
		<-req.Context().Done()
	}))
	dial := r.client.cfg.Dial
	r.client.cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return &heldConn{Conn: c, words: []byte("/once"), then: func() {
			<-served
			c.Close()
			<-r.client.trunk.ended // of the reading goroutine
		}}, nil
	}
	if o, _ := r.attempt(t.Context(), "POST", "/once", nil, someFacts()); o.State != attempt.Sent {
		t.Errorf("%+v", o)
	}
}

// A lane that the acceptor has forgotten may have had the request.
func TestStatus_ForgottenLane(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	bd := &bundle{trunk: newTrunk(there), lanes: make(map[uint32]*serverLane)}
	go bd.receiveControl(frame{kind: kStatus}, putPair(1, 1)[headerSize:])
	b := make([]byte, headerSize+9)
	if _, err := io.ReadFull(here, b); err != nil || parseFrame(b).kind != kSeen || b[headerSize+8] != 1 {
		t.Errorf("%v %v, want SEEN", b, err)
	}
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
			if o, got := r.attempt(t.Context(), "POST", "/next", strings.NewReader(want), someFacts()); o.Err != nil || got != want {
				t.Errorf("%v: the next request: %+v, %d bytes", k, o, len(got))
			}
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
	for end := time.Now().Add(time.Minute); running.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d handlers were never told", running.Load())
		}
	}
}

// A CANCEL that has come before its request counts for that one, and for no other.
func TestServing_EarlyCancel(t *testing.T) {
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
func TestEndContext_OtherSession(t *testing.T) {
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
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, "short") }))
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

// The numbers of streams begin anew, without those that are in use.
func TestStreams_NumbersBeginAnew(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/events" {
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		}
	}))
	get := func(path string) *http.Response {
		req, _ := http.NewRequest("GET", r.public.URL+path, nil)
		req.Header.Set("Accept", "text/event-stream")
		res, err := r.public.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	events := get("/events") // number 1
	r.client.trunk.mu.Lock()
	r.client.trunk.last = maxID - 1
	r.client.trunk.mu.Unlock()
	for range 4 {
		if res := get("/short"); res.StatusCode != 200 {
			t.Error(res.Status)
		}
	}
	r.client.trunk.mu.Lock()
	if last := r.client.trunk.last; last >= maxID || last < 2 {
		t.Errorf("the last number is %d", last)
	}
	r.client.trunk.mu.Unlock()
	events.Body.Close()
}

// A client that does not read stops the handler, whatever the handler does, and keeps no other's stream from
// going on.
func TestStream_SlowReaderIsBounded(t *testing.T) {
	for name, act := range map[string]func(*http.ResponseController, http.ResponseWriter) error{
		"flush": func(rc *http.ResponseController, w http.ResponseWriter) error { return rc.Flush() },
		"deadline": func(rc *http.ResponseController, w http.ResponseWriter) error {
			return rc.SetWriteDeadline(time.Time{})
		},
		"1xx": func(rc *http.ResponseController, w http.ResponseWriter) error {
			w.WriteHeader(http.StatusEarlyHints)
			return nil
		},
		"write": func(rc *http.ResponseController, w http.ResponseWriter) error {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				return err
			}
			return rc.Flush()
		},
	} {
		var acts atomic.Int64
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			for rc := http.NewResponseController(w); req.Context().Err() == nil && act(rc, w) == nil; acts.Add(1) {
			}
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		req := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		req.Header.Set("Accept", "text/event-stream")
		hold := make(chan struct{})
		done := make(chan Outcome)
		go func() {
			done <- r.client.Do(&stuckWriter{httptest.NewRecorder(), hold}, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)})
		}()
		for last := int64(-1); acts.Load() == 0 || acts.Load() != last; time.Sleep(50 * time.Millisecond) {
			last = acts.Load()
		}
		if n := acts.Load(); n > 3*window/headerSize {
			t.Errorf("%s: %d were passed on to a client that does not read", name, n)
		}
		cancel(errors.New("enough"))
		close(hold)
		if o := <-done; !o.GaveUp {
			t.Errorf("%s: %+v", name, o)
		}
		if !r.client.trunk.alive() {
			t.Errorf("%s: the trunk has ended", name)
		}
	}
}

// stuckWriter is a client that takes nothing until hold is closed.
type stuckWriter struct {
	*httptest.ResponseRecorder
	hold chan struct{}
}

func (w *stuckWriter) WriteHeader(status int) {
	<-w.hold
	w.ResponseRecorder.WriteHeader(status)
}
func (w *stuckWriter) SetWriteDeadline(time.Time) error { <-w.hold; return nil }
func (w *stuckWriter) Flush()                           { <-w.hold }

// Somebody who still reads the body when the handler has returned is told, and nothing of the request is
// left.
func TestReaderLeft(t *testing.T) {
	r := newRig(t, http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
	}), 20*time.Millisecond, "late"))
	for _, accept := range []string{"text/event-stream", "*/*"} {
		pr, pw := io.Pipe()
		go pw.Write(make([]byte, 100<<10))
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/", pr)
		req.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		if o := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)}); o.Err != nil || w.Code != 503 {
			t.Errorf("%s: %+v, status %d", accept, o, w.Code)
		}
		pw.Close()
	}
	for end := time.Now().Add(time.Minute); !r.quiet(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("something is left")
		}
	}
}

// What is wrong with one stream is the end of that stream alone; what is merely large is not wrong.
func TestStream_FailsAlone(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/events":
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		case "/hints":
			for range 3 {
				w.Header().Set("Link", strings.Repeat("l", 40<<10))
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.Header().Del("Link")
			io.WriteString(w, "ok")
		}
	}))
	do := func(path string) (Outcome, string) {
		req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		req.Header.Set("Accept", "text/event-stream")
		w := &slowly{httptest.NewRecorder()}
		o := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)})
		return o, w.Body.String()
	}
	req, _ := http.NewRequest("GET", r.public.URL+"/events", nil)
	req.Header.Set("Accept", "text/event-stream")
	events, err := r.public.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	trunk := r.client.trunk
	if o, got := do("/hints"); o.Err != nil || got != "ok" {
		t.Errorf("three large 103: %+v, %q", o, got)
	}
	s, err := trunk.open()
	if err != nil {
		t.Fatal(err)
	}
	for range maxFree {
		s.takeLocked(frame{kind: kMark}, nil)
	}
	if s.takeLocked(frame{kind: kMark}, nil) == nil {
		t.Error("a stream has any number of frames that cost nothing")
	}
	trunk.fail(s, errProtocol)
	err = nil
	for err == nil {
		_, err = s.next()
	}
	if !errors.Is(err, errProtocol) || !trunk.alive() {
		t.Errorf("%v, and the trunk lives: %v", err, trunk.alive())
	}
}

// slowly is a client that takes its time.
type slowly struct{ *httptest.ResponseRecorder }

func (w *slowly) WriteHeader(status int) {
	time.Sleep(5 * time.Millisecond)
	if status >= 200 {
		w.ResponseRecorder.WriteHeader(status)
	}
}

// A ResponseWriter that panics leaves nothing behind.
func TestDo_Panic(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, "x") }))
	r.oneLane()
	for range 3 {
		func() {
			defer func() { recover() }()
			req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.client.Do(httptest.NewRecorder(), req, &Attempt{Facts: someFacts(), Upload: NewUpload(req),
				BeforeHeader: func(int, bool) { panic("oops") }})
		}()
	}
	for end := time.Now().Add(time.Minute); !r.quiet(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("something is left")
		}
	}
}
