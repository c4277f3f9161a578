package cluster

import (
	"sync"
	"testing"
	"time"
)

// A node that comes back while others write has always something left to apply. It must get its vote all the same.
func TestJoinUnderLoad(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		n, rest := others[0], others[1]
		n.kill()

		var wg sync.WaitGroup
		defer wg.Wait()
		done := make(chan struct{})
		defer close(done)
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(8 * time.Millisecond): // that late do others learn that the write before is committed
					leader.must("set x y")
				}
			}
		})
		began := time.Now()
		n.conf.Join = []string{leader.Addr(), rest.Addr()}
		n.start()
		l.ready(n)
		if d := time.Since(began); d > 2*time.Second {
			l.t.Errorf("ready after %v", d)
		}
	})
}
