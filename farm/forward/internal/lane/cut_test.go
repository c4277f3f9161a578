package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
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
	go c.Conn.Close() // which waits for whoever waits for something to read, such as the caller: see ask
	return n, errCut
}

// NetConn lets a lane wait as it does on a connection that nobody cuts.
func (c *cutConn) NetConn() net.Conn { return c.Conn }

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	n, end := c.allow(n, &c.read)
	if end {
		c.Conn.Close()
		return n, errCut
	}
	return n, err
}

// cutting is a rig whose lanes are cut.
type cutting struct {
	*rig
	book   *ledger
	answer string // without the body, which follows
	states map[attempt.State]int
}

func newCutting(t *testing.T) *cutting {
	c := &cutting{book: &ledger{runs: make(map[string]int)}, answer: strings.Repeat("a", 300),
		states: make(map[attempt.State]int)}
	c.rig = newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c.book.start(req.URL.Path)
		b, _ := io.ReadAll(req.Body)
		io.WriteString(w, c.answer)
		w.(http.Flusher).Flush()
		w.Write(b)
	}))
	plain := c.client.cfg.Dial
	c.client.cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn}, nil
	}
	return c
}

// post sends a request over a lane that is cut after so many bytes, -1 = any number, and checks what is said
// of it. It reports whether the answer was whole.
func (c *cutting) post(path string, read, write int) (whole bool) {
	c.oneLane().Conn.(*cutConn).arm(read, write) // another one, dialled meanwhile, would have the request
	o, got := c.attempt(c.t.Context(), "POST", path, strings.NewReader("body"), someFacts())
	c.states[o.State]++
	want := c.answer + "body"
	switch runs := c.book.of(path); {
	case o.Err == nil:
		if runs != 1 || got != want {
			c.t.Errorf("%s: %d runs, %d bytes of the answer", path, runs, len(got))
		}
	case o.State == attempt.Committed:
		if runs != 1 || !strings.HasPrefix(want, got) {
			c.t.Errorf("%s: %d runs, %q", path, runs, got)
		}
	case runs > 1 || runs > 0 && o.State.Undone():
		c.t.Errorf("%s: %d runs, and the outcome is %v: %v", path, runs, o.State, o.Err)
	}
	return o.Err == nil
}

// Wherever a lane is cut, the outcome tells the truth: what is called not started never is, and an answer
// that is called whole is.
func TestCut_EveryOffset(t *testing.T) {
	c := newCutting(t)
	for k := 0; !c.post(fmt.Sprint("/write", k), -1, k); k++ {
	}
	for k := 0; !c.post(fmt.Sprint("/read", k), k, -1); k++ {
	}
	time.Sleep(10 * time.Millisecond) // for what must not be started any more
	for id, n := range c.book.runs {
		if n > 1 {
			t.Errorf("%s was started %d times", id, n)
		}
	}
	for _, s := range []attempt.State{attempt.NotSent, attempt.Sent, attempt.Committed} {
		if c.states[s] == 0 {
			t.Errorf("no case is %v: %v", s, c.states)
		}
	}
}

// A peer that starts anew is found again, whatever was open, and a request in between is lost or not sent.
func TestPeerRestarts(t *testing.T) {
	r := newRig(t, text("ok"))
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
	r.eventually(func() bool { return r.idle() == 0 }) // lanes of before
	for range 20 {
		if got := r.do("POST", "/", strings.NewReader("x")); got != "200 ok" {
			t.Error(got)
		}
		<-r.ended
	}
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
