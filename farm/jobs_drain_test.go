package farm_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// A node that drains, by a call or by an operator, runs no job from then on, and does again when that was
// taken back, however closely the two follow each other.
func TestFarm_DrainAndUndrainWithJobs(t *testing.T) {
	w := &whereabouts{now: map[*farm.Farm]bool{}, ran: map[time.Time]int{}, runs: map[*farm.Farm]int{}}
	handler := func(f *farm.Farm) http.Handler {
		err := errors.Join(f.Singleton("loop", w.singleton(f)),
			f.Every("often", once.Schedule{Cron: "* * * * * *", Zone: "UTC"}, w.job(f)))
		if err != nil {
			t.Error(err)
		}
		return http.NotFoundHandler()
	}
	runs := func(n *farmtest.Node) int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.runs[n.Farm()]
	}
	farmtest.Run(t, 2, handler, func(t *testing.T, f *farmtest.Farm) {
		n := f.Nodes[0]
		until(t, "it runs jobs", time.Minute, func() bool { return runs(n) > 0 })
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := n.Farm().Drain(ctx); err != nil && !errors.Is(err, farm.ErrUndrained) {
					t.Error(err)
				}
			})
			if i%2 == 0 {
				wg.Wait()
				before := runs(n)
				time.Sleep(10 * time.Second)
				if now := runs(n); now != before || w.where() == n.Farm() {
					t.Fatalf("round %d: %d runs after the drain; the singleton is here: %v", i, now-before,
						w.where() == n.Farm())
				}
			} else {
				time.Sleep(time.Duration(i) * time.Millisecond / 10)
			}
			if err := n.Farm().Undrain(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			cancel()
			if i%2 != 0 {
				before := runs(n)
				until(t, "it runs jobs again", time.Minute, func() bool { return runs(n) > before })
			}
		}
	})
}
