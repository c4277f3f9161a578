package lane

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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
			w := &stuckWriter{httptest.NewRecorder(), hold}
			done <- r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)})
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
		o := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)})
		if o.Err != nil || w.Code != 503 {
			t.Errorf("%s: %+v, status %d", accept, o, w.Code)
		}
		pw.Close()
	}
	r.eventually(r.quiet)
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
	r := newRig(t, text("x"))
	r.oneLane()
	for range 3 {
		func() {
			defer func() { recover() }()
			req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.client.Do(httptest.NewRecorder(), req, &Attempt{Facts: someFacts(), Upload: NewUpload(req),
				BeforeHeader: func(int, bool) { panic("oops") }})
		}()
	}
	r.eventually(r.quiet)
}
