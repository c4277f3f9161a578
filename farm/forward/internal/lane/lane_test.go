package lane

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

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
	r := newRig(t, text(want))
	for range 3 {
		if got := r.get("/"); got != "200 "+want {
			t.Errorf("got %d bytes, want %d", len(got), len(want)+4)
		}
		<-r.ended
		r.warm()
	}
}

func TestRefuse(t *testing.T) {
	r := newRig(t, http.NotFoundHandler())
	busy := Refusal{Reason: "busy", Busy: true, RetryAfter: 3}
	r.server.Handle = func(w *Writer, _ *http.Request, _ *Facts) { w.Refuse(busy) }
	for range 3 {
		r.do("POST", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
		if o := <-r.ended; o.State != attempt.Refused || o.Refusal != busy {
			t.Errorf("%+v", o)
		}
	}
}

// A panic reads as what it is to the dialler. The log of the node that ran the handler has it, with the
// request's id and what it was about; that of an abort has no line.
func TestPanic(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oops")
	}))
	var log bytes.Buffer // written before the answer that tells of it
	r.server.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if got := r.get("/"); !strings.HasPrefix(got, "502 started") {
		t.Error(got)
	}
	if o := <-r.ended; !o.Panicked || o.State != attempt.Started {
		t.Errorf("%+v", o)
	}
	if _, err := r.public.Client().Get(r.public.URL + "/abort"); err == nil {
		t.Error("the connection was not cut")
	}
	<-r.ended
	line := log.String()
	for _, want := range []string{"handler panicked", "request=id ", "method=GET path=/ from=N1 panic=oops"} {
		if strings.Count(line, want) != 1 {
			t.Errorf("the log has not one %q: %s", want, line)
		}
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
