package farm

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestSelfCheckSaysWhy: whoever publishes learns what is wrong with the front page, and a page that lasts is
// well.
func TestSelfCheckSaysWhy(t *testing.T) {
	fails := func(w http.ResponseWriter, r *http.Request) error { return errors.New("no template") }
	for name, c := range map[string]struct {
		app  http.HandlerFunc
		want string
	}{
		"shown":     {app: func(w http.ResponseWriter, r *http.Request) {}},
		"not there": {app: http.NotFound},
		"fails":     {HandlerFunc(fails), "GET / is answered with 500 Internal Server Error: no template"},
		"unavailable": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
			"GET / is answered with 503 Service Unavailable"},
		"breaks off": {func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("<h1>"))
			noteFailure(r.Context(), errors.New("no price"))
			breakOff(w)
		}, "GET / breaks off in the middle of its answer: no price"},
		"lasts": {app: func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write([]byte("news")); err != nil {
					panic(http.ErrAbortHandler) // as a reverse proxy does
				}
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				got := ""
				if err := checkFront(context.Background(), c.app, "a.test"); err != nil {
					got = err.Error()
				}
				if got != c.want {
					t.Errorf("%q; want %q", got, c.want)
				}
			})
		})
	}
}
