package lane

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// counts counts how often it is told that an exchange lasts.
type counts struct{ n *atomic.Int32 }

func (c counts) Lasts() { c.n.Add(1) }

// leaver is a rig whose attempts the test can have leave.
func leaver(t *testing.T, h func(w *Writer, r *http.Request)) (r *rig, attempts chan *Attempt, lasts *atomic.Int32) {
	r = newRig(t, nil)
	attempts, lasts = make(chan *Attempt, 100), &atomic.Int32{}
	r.server.Handle = func(w *Writer, req *http.Request, _ *Facts) { h(w, req) }
	r.public.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a := &Attempt{Facts: &Facts{ID: "id", Attempt: 1}, Upload: NewUpload(req), Laster: counts{lasts}}
		if req.URL.Path == "/early" {
			a.Leave()
		}
		attempts <- a
		r.ended <- r.client.Do(w, req, a)
	})
	return r, attempts, lasts
}

// A handler that lasts is told to leave, on a lane and on the trunk, whether it has asked before or after, and
// whatever comes first, the request or the word. One that comes later is not.
func TestLeave(t *testing.T) {
	asked, told := make(chan struct{}), make(chan string, 9)
	r, attempts, lasts := leaver(t, func(w *Writer, req *http.Request) {
		switch req.URL.Path {
		case "/lasts", "/early":
			left := make(chan struct{})
			w.Lasts(req.Header.Get("Known") != "", func() { close(left) })
			if req.URL.Path == "/lasts" {
				asked <- struct{}{}
			}
			<-left
			io.WriteString(w, "bye")
		case "/over":
			w.Lasts(true, func() {})
		case "/next":
			w.Lasts(true, func() { told <- "the next one was told" })
		}
	})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		for _, known := range []string{"", "known"} {
			for _, path := range []string{"/early", "/lasts"} {
				if accept == "*/*" {
					r.warm() // so that there is a lane
					for len(attempts) > 0 {
						<-attempts
					}
				}
				lasts.Store(0)
				req, err := http.NewRequest("GET", r.public.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", accept)
				req.Header.Set("Known", known)
				if known == "" {
					req.Header.Del("Known")
				}
				go func() {
					if path == "/lasts" {
						a := <-attempts
						<-asked
						a.Leave()
						a.Leave() // again
					}
				}()
				res, err := r.public.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				<-r.ended
				if string(b) != "bye" {
					t.Errorf("%s %s: %q", accept, path, b)
				}
				if want := map[string]int32{"": 1, "known": 0}[known]; lasts.Load() != want {
					t.Errorf("%s %s: the dialler was told %d times, want %d", accept, path, lasts.Load(), want)
				}
				for len(attempts) > 0 {
					<-attempts
				}
			}
		}
	}
	r.get("/over")
	a := <-attempts
	<-r.ended
	a.Leave() // too late
	r.get("/next")
	r.get("/next")
	select {
	case s := <-told:
		t.Error(s)
	default:
	}
}
