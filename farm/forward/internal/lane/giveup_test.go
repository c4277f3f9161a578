package lane

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// An attempt is given up by its number only, on a lane and on the trunk, and not any more once its answer has
// begun or its handler has announced a change. Whoever is given up first cannot announce one.
func TestGiveUp(t *testing.T) {
	why := errors.New("too slow")
	at, goOn, marked, returned := make(chan string), make(chan struct{}), make(chan error, 9), make(chan struct{}, 9)
	r, attempts, _ := leaver(t, func(w *Writer, req *http.Request) {
		switch req.URL.Path {
		case "/begun":
			w.FlushError()
		case "/marked":
			if err := w.Mark(); err != nil {
				t.Error(err)
			}
		case "/waits", "/late":
		default:
			return
		}
		defer func() { returned <- struct{}{} }()
		at <- req.URL.Path
		if req.URL.Path == "/late" {
			<-req.Context().Done()
			marked <- w.Mark()
			return
		}
		select {
		case <-req.Context().Done():
		case <-goOn:
		}
	})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		for path, possible := range map[string]bool{"/begun": false, "/marked": false, "/waits": true, "/late": true} {
			if accept == "*/*" {
				r.warm()
			}
			for len(attempts) > 0 {
				<-attempts
			}
			req := httptest.NewRequest("GET", path, nil)
			req.Header.Set("Accept", accept)
			a := &Attempt{Facts: &Facts{ID: "id", Attempt: 7, Marks: true}, Upload: NewUpload(req)}
			out := make(chan Outcome, 1)
			go func() { out <- r.client.Do(httptest.NewRecorder(), req, a) }()
			<-at
			if a.GiveUp(6, why) {
				t.Errorf("%s: another attempt was given up", path)
			}
			got := a.GiveUp(7, why)
			if got != possible && path != "/begun" { // whose head may be on its way yet; then nobody has seen it
				t.Errorf("%s: given up is %v", path, got)
			}
			if !got {
				goOn <- struct{}{}
			}
			o := <-out
			if got && (o.Err != why || !o.GaveUp || o.Marked || o.State > attempt.Started) || !got && o.Err != nil {
				t.Errorf("%s: %+v", path, o)
			}
			if a.GiveUp(7, why) {
				t.Errorf("%s: given up when it was over", path)
			}
			if path == "/late" {
				if err := <-marked; err == nil {
					t.Error("a change was announced by one that is given up")
				}
			}
			<-returned // else it could take the next one's word to go on
		}
	}
}
