package cluster

import (
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// However many nodes want to know how fresh they are, the voters are asked twice a second; and nobody waits
// for longer than that.
func TestBarriersAtLeisure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const secs, askers = 10, 100
		c := &confirming{tenure: &tenure{ctx: t.Context()}}
		rounds, wg := 0, sync.WaitGroup{}
		c.leisure.do = func() (uint64, error) { rounds++; return 0, nil }
		c.leisure.pause = c.leisurely()
		c.leisure.spawn = func(f func()) bool { wg.Go(f); return true }
		end := time.Now().Add(secs * time.Second)
		for i := range askers {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * freshenEvery / askers)
				for time.Now().Before(end) {
					began := time.Now()
					if c.leisure.join(t.Context()); time.Since(began) > leisure {
						t.Errorf("an answer took %v", time.Since(began))
					}
					time.Sleep(freshenEvery)
				}
			})
		}
		wg.Wait()
		if most := int((secs*time.Second+freshenEvery)/leisure) + 1; rounds > most || rounds < secs {
			t.Errorf("the voters were asked %d times in %d s", rounds, secs)
		}
	})
}
