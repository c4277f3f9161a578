package forward

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// However many requests want a connection, a peer is dialed only so often, and by a few at once.
func TestDialBudget_IsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const run, takes = 5 * time.Second, 3 * time.Millisecond
		b := newDialBudget()
		ctx, cancel := context.WithTimeout(t.Context(), run)
		defer cancel()
		var dials, now, most atomic.Int64
		for range 64 {
			go func() {
				for {
					_, end, err := b.begin(ctx, nil)
					if err != nil {
						return
					}
					dials.Add(1)
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(takes)
					now.Add(-1)
					end()
				}
			}()
		}
		<-ctx.Done()
		synctest.Wait()
		time.Sleep(takes)
		want := int64(dialBurst + run/dialGap)
		if n := dials.Load(); n < want-dialsAtOnce || n > want+dialsAtOnce {
			t.Errorf("%d dials in %v, want %d", n, run, want)
		}
		if n := most.Load(); n != dialsAtOnce {
			t.Errorf("%d dials at once, want %d", n, dialsAtOnce)
		}
	})
}

// Those who give up before it is their turn have spent nothing.
func TestDialBudget_GivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newDialBudget()
		for b.spend() == 0 {
		}
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), dialGap/1000)
			if _, end, err := b.begin(ctx, nil); err == nil {
				end()
			}
			cancel()
		}
		began := time.Now()
		_, end, err := b.begin(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		end()
		if d := time.Since(began); d > 2*dialGap {
			t.Errorf("the next one waited %v", d)
		}
	})
}

// A request that may not dial yet gets the connection of one that has ended.
func TestPeer_FreedLink(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	p := (*a.gate.hop.eligible.Load())[0]
	answers := make(chan error, 2)
	ask := func() {
		res, err := http.Get(a.public.URL)
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		if res != nil {
			res.Body.Close()
		}
		answers <- err
	}
	go ask()
	<-entered
	for range dialsAtOnce { // as if all were under way, and hung
		p.dials.slots <- struct{}{}
	}
	go ask()
	eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.wait) == 1
	})
	close(release)
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := len(p.links); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
