package forward

import (
	"runtime"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
)

// leastRunning is how many handlers may run for each processor whatever happens, where Config.MaxRunning does
// not say.
const leastRunning = 256

func newLimiter(most int) *limit.Limiter {
	return limit.New(most, leastRunning*runtime.GOMAXPROCS(0))
}

// watchProcessors has the limit follow what the processors can do.
func (g *Gate) watchProcessors() {
	if g.cfg.MaxRunning != 0 {
		return
	}
	var m limit.Meter
	tick := time.NewTicker(limit.Step)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.done.Done():
			return
		}
		if l := g.limit.Load(); l.Limit == 0 && l.Running < leastRunning {
			continue // there is nothing that could be too much
		}
		g.limit.Observe(m.Read())
	}
}
