package once

import (
	"context"
	"testing"
	"time"
)

// An idle farm with one singleton writes a few entries a minute, however many nodes stand in line for it.
func TestIdle(t *testing.T) {
	const nodes = 6
	inLab(t, nodes, func(l *lab) {
		for _, n := range l.nodes {
			err := n.Singleton("s", func(ctx context.Context, _ uint64) error { <-ctx.Done(); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		l.mu.Lock()
		before := len(l.entries)
		l.mu.Unlock()
		time.Sleep(time.Hour)
		l.mu.Lock()
		defer l.mu.Unlock()
		// Both who watch the holder may raise a suspicion, which it refutes.
		if got, most := len(l.entries)-before, int(time.Hour/challengeEvery)*3; got > most {
			t.Errorf("%d entries in an hour, want %d at most", got, most)
		}
	})
}
