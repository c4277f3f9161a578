package farm_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// An event as an EventSource reads it: as the HTML standard says (9.2.6), written once more, for these tests.
type heard struct{ id, name, data, retry string }

// hear returns the events that come over r, until it ends.
func hear(t testing.TB, r io.Reader) (all []heard) {
	t.Helper()
	in := bufio.NewReader(r)
	var now heard
	var data []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return all
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if now.data = strings.Join(data, "\n"); data != nil || now != (heard{}) {
				all = append(all, now)
			}
			now, data = heard{}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			now.id = value
		case "event":
			now.name = value
		case "retry":
			now.retry = value
		case "data":
			data = append(data, value)
		case "":
		default:
			t.Errorf("a field %q", field)
		}
	}
}

// Events arrive as they were sent, whatever is in them.
func TestEvents_Format(t *testing.T) {
	for _, c := range []struct {
		sent farm.Event
		want heard
	}{
		{farm.Event{Data: "one"}, heard{data: "one"}},
		{farm.Event{Data: "two\nlines"}, heard{data: "two\nlines"}},
		{farm.Event{Data: "a\r\nb\rc\n\nd"}, heard{data: "a\nb\nc\n\nd"}},
		{farm.Event{Data: "\n"}, heard{data: "\n"}},
		{farm.Event{Data: "\r"}, heard{data: "\n"}},
		{farm.Event{Data: "ends\n"}, heard{data: "ends\n"}},
		{farm.Event{Data: " indented"}, heard{data: " indented"}},
		{farm.Event{Data: "data: x\n\nevent: forged"}, heard{data: "data: x\n\nevent: forged"}},
		{farm.Event{Data: ": no comment\nid: 9"}, heard{data: ": no comment\nid: 9"}},
		{farm.Event{Name: "tick"}, heard{name: "tick"}},
		{farm.Event{ID: "7", Name: "tick", Data: "x", Retry: 1500 * time.Millisecond},
			heard{"7", "tick", "x", "1500"}},
		{farm.Event{ID: "8"}, heard{id: "8"}},
		{farm.Event{Data: "x", Retry: time.Microsecond}, heard{data: "x", retry: "1"}},
	} {
		w := httptest.NewRecorder()
		s, err := farm.Events(w, httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(c.sent); err != nil {
			t.Errorf("%+v: %v", c.sent, err)
		}
		s.Close()
		got := hear(t, w.Body)
		if len(got) != 2 || got[0].retry == "" || got[1] != c.want {
			t.Errorf("%+v: heard %+v, want a retry and %+v", c.sent, got, c.want)
		}
	}
}

func TestEvents_Header(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "0")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Last-Event-ID", "41")
	s, err := farm.Events(w, r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := w.Result().Header
	for name, want := range map[string]string{"Content-Type": "text/event-stream",
		"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Length": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !w.Flushed || s.LastID() != "41" {
		t.Errorf("flushed: %v, last ID %q", w.Flushed, s.LastID())
	}
}

// What would break the framing is refused, and the stream goes on.
func TestEvents_BadEvent(t *testing.T) {
	w := httptest.NewRecorder()
	s, err := farm.Events(w, httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []farm.Event{
		{ID: "a\nb"}, {ID: "a\rb"}, {ID: "a\x00b"}, {Name: "a\nb"}, {Name: "a\rb"}, {Retry: -1},
	} {
		if err := s.Send(e); err == nil {
			t.Errorf("%+v was sent", e)
		}
	}
	if err := s.Send(farm.Event{Data: "good"}); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := s.Send(farm.Event{Data: "late"}); err == nil {
		t.Error("sent after Close")
	}
	s.Close() // again
	if got := hear(t, w.Body); len(got) != 2 || got[1].data != "good" {
		t.Errorf("heard %+v", got)
	}
}

// deaf is a ResponseWriter that cannot flush.
type deaf struct{ http.ResponseWriter }

func TestEvents_CannotFlush(t *testing.T) {
	_, err := farm.Events(deaf{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
	if !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("%v", err)
	}
}

// lockedRecorder is a recorder for several goroutines.
type lockedRecorder struct {
	mu sync.Mutex
	httptest.ResponseRecorder
}

func (l *lockedRecorder) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ResponseRecorder.Write(b)
}

func (l *lockedRecorder) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.Body.Reset()
	return l.Body.String()
}

// A silent stream shows that it lives, every 15 seconds, and does not after its end.
func TestEvents_Beat(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := &lockedRecorder{ResponseRecorder: *httptest.NewRecorder()}
		s, err := farm.Events(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		w.take()
		pass := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := w.take(); got != want {
				t.Errorf("after %v: %q, want %q", d, got, want)
			}
		}
		pass(14*time.Second, "")
		pass(time.Second, ":\n\n")
		pass(30*time.Second, ":\n\n:\n\n")
		pass(10*time.Second, "")
		s.Send(farm.Event{Data: "x"})
		pass(14*time.Second, "data: x\n\n")
		pass(time.Second, ":\n\n")
		s.Close()
		pass(time.Minute, "")
	})
}

// The end of the request ends the stream, with the cause, and nothing can be sent.
func TestEvents_HangUp(t *testing.T) {
	why := errors.New("the line is dead")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := farm.Events(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel(why)
	<-s.Context().Done()
	if got := context.Cause(s.Context()); got != why {
		t.Errorf("cause %v", got)
	}
	if err := s.Send(farm.Event{Data: "x"}); !errors.Is(err, why) {
		t.Errorf("sent: %v", err)
	}
}

// A stream lasts longer than the deadlines that the server has set, over HTTP/1.1 and HTTP/2, and ends when
// its client hangs up.
func TestEvents_OutlastsTimeouts(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	for _, two := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "HTTP2"}[two], func(t *testing.T) {
			t.Parallel()
			cause := make(chan error, 1)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w) // as by ReadTimeout and WriteTimeout
				rc.SetReadDeadline(time.Now().Add(limit))
				rc.SetWriteDeadline(time.Now().Add(limit))
				s, err := farm.Events(w, r)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				tick := time.NewTicker(limit / 4)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						s.Send(farm.Event{Data: "tick"})
					case <-s.Context().Done():
						cause <- context.Cause(s.Context())
						return
					}
				}
			}))
			defer srv.Close()
			srv.EnableHTTP2 = two
			srv.StartTLS()
			res, err := srv.Client().Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			in := bufio.NewScanner(res.Body)
			for n := 0; n < 6 && in.Scan(); {
				if in.Text() == "data: tick" {
					n++
				}
			}
			select {
			case err := <-cause:
				t.Fatalf("it ended: %v, %v", err, in.Err())
			default:
			}
			res.Body.Close()
			if got := <-cause; !errors.Is(got, context.Canceled) {
				t.Errorf("cause %v", got)
			}
		})
	}
}

// stuck is a connection that takes no more than its header: as the socket of a client that does not read.
type stuck struct {
	http.ResponseWriter
	deadline time.Time
	full     atomic.Bool
}

func (s *stuck) SetWriteDeadline(d time.Time) error { s.deadline = d; return nil }

func (s *stuck) Write(b []byte) (int, error) {
	if s.full.Load() && !s.deadline.IsZero() {
		time.Sleep(time.Until(s.deadline)) // fake time
		return 0, &net.OpError{Op: "write", Err: context.DeadlineExceeded}
	}
	return s.ResponseWriter.Write(b)
}

func (s *stuck) Flush() {}

// A client that does not read loses its stream, by an event or by a sign of life.
func TestEvents_ClientDoesNotRead(t *testing.T) {
	for _, event := range []bool{true, false} {
		bubble.Test(t, func(t *testing.T) {
			w := &stuck{ResponseWriter: httptest.NewRecorder()}
			s, err := farm.Events(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			w.full.Store(true)
			began := time.Now()
			limit := 10 * time.Second
			if event {
				if err := s.Send(farm.Event{Data: "x"}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("sent: %v", err)
				}
			} else {
				limit += 15 * time.Second
			}
			<-s.Context().Done()
			if d := time.Since(began); d != limit {
				t.Errorf("it took %v", d)
			}
			if !errors.Is(context.Cause(s.Context()), context.DeadlineExceeded) {
				t.Errorf("cause %v", context.Cause(s.Context()))
			}
		})
	}
}

// A drain ends streams, and tells their clients to come back soon.
func TestEvents_Drain(t *testing.T) {
	t.Parallel()
	open, cause := make(chan struct{}), make(chan error, 1)
	s := serve(t, farm.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events, err := farm.Events(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		close(open)
		<-events.Context().Done()
		cause <- context.Cause(events.Context())
		if err := events.Send(farm.Event{Name: "bye"}); err != nil {
			t.Errorf("the last words: %v", err)
		}
	})).ready() // it forgets to Close
	res, err := http.Get("http://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-open
	s.stop()
	got := hear(t, res.Body)
	if err := <-cause; err != farm.ErrDraining {
		t.Errorf("cause %v", err)
	}
	if len(got) != 3 || got[1].name != "bye" || got[2].retry == "" || len(got[2].retry) > 3 {
		t.Errorf("heard %+v, want a retry, the last words, and a retry below 1000", got)
	}
	within(t, "Serve", func() {
		if err := <-s.err; err != nil {
			t.Error(err)
		}
	})
}
