package farmtest_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/session"
)

var blob = session.NewKey[string]("blob")

// TestMuchWrittenWhileCutOff fills every buffer between a node and a leader that it cannot reach.
// Slow: it writes until nothing more fits.
func TestMuchWrittenWhileCutOff(t *testing.T) {
	t.Parallel()
	handler := func(*farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := blob.Update(r.Context(), func(string, bool) (string, error) { return strings.Repeat("x", 15<<10), nil })
			reply(w, nil, err)
		})
	}
	farmtest.Run(t, 3, handler, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		other := f.Others(leader)[0]
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var written, failed atomic.Int64
		for range 30 {
			wg.Go(func() {
				browser := f.Browser()
				for {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
					if _, err := call(browser, "POST", other.URL()); err != nil {
						failed.Add(1)
					} else {
						written.Add(1)
					}
				}
			})
		}
		for _, cut := range [][2]*farmtest.Node{{other, leader}, {leader, other}} {
			pass(50 * time.Millisecond)
			f.Cut(cut[0], cut[1])
			pass(5 * time.Second)
			f.Heal()
		}
		close(stop)
		wg.Wait()
		f.Settle()
		t.Logf("%d writes succeeded, %d failed", written.Load(), failed.Load())
		if written.Load() == 0 {
			t.Error("nothing was written")
		}
	})
}
