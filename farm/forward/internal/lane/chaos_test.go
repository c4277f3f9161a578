package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

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
	r.eventually(r.quiet)
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
	want := map[string]string{
		"echo":  body,
		"flush": strings.Repeat(path, 20),
		"large": strings.Repeat(path, 2000),
	}[kind]
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
