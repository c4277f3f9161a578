package lane

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// events are what has happened, in order.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) note(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, what)
}

// take returns what has happened since the last time, once this has.
func (e *events) take(r *rig, what string) (all []string) {
	r.t.Helper()
	r.eventually(func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !slices.Contains(e.all, what) {
			return false
		}
		all, e.all = e.all, nil
		return true
	})
	return all
}

// watchedConn calls a function before it writes, and one afterwards.
type watchedConn struct {
	net.Conn
	before, after func(b []byte)
}

func (c *watchedConn) Write(b []byte) (int, error) {
	c.before(b)
	n, err := c.Conn.Write(b)
	c.after(b)
	return n, err
}

// NetConn lets a lane wait as it does on a connection that nobody watches.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

// watchedListener accepts such connections.
type watchedListener struct {
	net.Listener
	before, after func(b []byte)
}

func (l *watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{c, l.before, l.after}, nil
}

// newWatchedRig returns a rig whose acceptor's writes are watched.
func newWatchedRig(t *testing.T, s *Server, before, after func(b []byte)) *rig {
	r := newRig(t, text("of another server"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Logger = slog.New(slog.DiscardHandler)
	go s.Serve(&watchedListener{l, before, after})
	r.addr.Store(l.Addr().String())
	t.Cleanup(func() {
		r.client.Close()
		l.Close()
		s.Close()
	})
	return r
}

// isLast reports whether an exchange ends with the first frame in b.
func isLast(b []byte) bool {
	if len(b) < headerSize {
		return false
	}
	f := parseFrame(b)
	return f.last() && f.kind != kHello
}

// An exchange has ended when its handler has returned and the last frame of its answer has left. On a lane that
// leaves with the wait for the next request. On the trunk it may wait behind another frame: Close lets it leave.
func TestEnded(t *testing.T) {
	var log events
	s := &Server{Ended: func() { log.note("ended") }}
	s.Handle = func(w *Writer, r *http.Request, _ *Facts) {
		defer log.note("returned")
		switch r.URL.Path {
		case "/refused":
			w.Refuse(Refusal{Reason: "no"})
		case "/flushed":
			io.WriteString(w, "begun, ")
			w.Flush()
			io.WriteString(w, "ended")
		case "/aborted":
			panic(http.ErrAbortHandler)
		case "/read":
			io.Copy(w, r.Body)
		default:
			io.WriteString(w, "answer")
		}
	}
	r := newWatchedRig(t, s, func([]byte) {}, func(b []byte) {
		if isLast(b) {
			log.note("left")
		}
	})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		for _, path := range []string{"/", "/refused", "/flushed", "/aborted", "/read"} {
			r.oneLane()
			req, err := http.NewRequest("POST", r.public.URL+path, strings.NewReader(strings.Repeat("x", 100<<10)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", accept)
			if res, err := r.public.Client().Do(req); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			got, want := log.take(r, "ended"), []string{"returned", "left", "ended"}
			if accept != "*/*" { // on the trunk
				want = slices.Delete(want, 1, 2)
				got = slices.DeleteFunc(got, func(what string) bool { return what == "left" })
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, Accept: %s: %q", path, accept, got)
			}
		}
	}
}

// What was answered over the trunk leaves before the acceptor closes it, though it waits behind another frame.
func TestClose_AnswersLeave(t *testing.T) {
	var first sync.Once
	writing, goOn := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{}, 2)
	s := &Server{Ended: func() { ended <- struct{}{} }}
	s.Handle = func(w *Writer, r *http.Request, _ *Facts) { io.WriteString(w, r.URL.Path) }
	r := newWatchedRig(t, s, func(b []byte) {
		if isLast(b) {
			first.Do(func() {
				close(writing)
				<-goOn
			})
		}
	}, func([]byte) {})
	answers := make(chan string, 2)
	ask := func(path string) {
		req, err := http.NewRequest("GET", r.public.URL+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Accept", "text/event-stream")
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		answers <- res.Status[:4] + string(b)
	}
	go ask("/first")
	<-writing
	go ask("/second")
	<-ended // of the second: the first is still being written
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	select { // it would have closed the connection by now
	case <-closed:
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	got := map[string]bool{<-answers: true, <-answers: true}
	if !got["200 /first"] || !got["200 /second"] {
		t.Errorf("%v", got)
	}
	<-closed
}
