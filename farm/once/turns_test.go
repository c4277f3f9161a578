package once

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// Where entries take long, a job is not claimed by each of its nodes: a farm with too much to do would get
// more.
func TestTurnsOnASlowFarm(t *testing.T) {
	const nodes = 20
	inLab(t, nodes, func(l *lab) {
		var by atomic.Int64
		none := func(context.Context, Tick) error { return nil }
		for _, n := range l.nodes {
			n.cfg.Log = tardyLog{n.cfg.Log, &by}
			if err := n.Every("j", Schedule{Cron: "* * * * *", Zone: "UTC"}, none); err != nil {
				t.Fatal(err)
			}
		}
		entriesOfTenTimes := func() int {
			l.mu.Lock()
			before := len(l.entries)
			l.mu.Unlock()
			time.Sleep(10 * time.Minute)
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.entries) - before
		}
		time.Sleep(5*time.Minute + time.Second)
		well := entriesOfTenTimes()
		by.Store(int64(2 * time.Second))
		time.Sleep(5 * time.Minute) // it notices
		if slow := entriesOfTenTimes(); slow > 3*well {
			t.Errorf("ten times of a job: %d entries where each takes two seconds, %d where it takes one millisecond",
				slow, well)
		}
	})
}

// tardyLog takes its time for each command, now this long and now that.
type tardyLog struct {
	Log
	by *atomic.Int64
}

// Propose implements Log.
func (g tardyLog) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	time.Sleep(time.Duration(g.by.Load()))
	return g.Log.Propose(ctx, cmd)
}
