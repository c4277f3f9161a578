package once

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// backup returns the state as it is now.
func (l *lab) backup() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	l.truth.Snapshot().WriteTo(&b)
	return b.Bytes()
}

// restore has the whole farm go on with an older state. The copies say so a moment before they are in place.
func (l *lab) restore(backup []byte, moment time.Duration) {
	copies := map[*labNode]*Machine{}
	read := func(news *News) *Machine {
		m := NewMachine(news)
		if err := m.Restore(bytes.NewReader(backup)); err != nil {
			l.t.Error(err)
		}
		return m
	}
	l.change(func() {
		l.leaderless = true
		for _, n := range l.nodes {
			copies[n] = read(n.news)
		}
	})
	time.Sleep(moment)
	l.change(func() {
		l.leaderless, l.truth = false, read(new(News))
		for n, m := range copies {
			n.machine.Store(m)
			n.applied = len(l.entries)
		}
	})
}

// Who holds a lock that a restored state gives to another learns of it within moments, not when it asks the
// next time; and what that state says of this node is given back. So the next one hardly ever meets it.
func TestOlderState(t *testing.T) {
	for _, moment := range []time.Duration{time.Millisecond, 250 * time.Millisecond, 3 * time.Second} {
		inLab(t, 3, func(l *lab) {
			a, b, c := l.nodes[0], l.nodes[1], l.nodes[2]
			for i, n := range l.nodes {
				l.lock(n, "of its own "+string(rune('a'+i))) // each has something to keep
			}
			first := l.lock(a, "x")
			backup := l.backup()
			if err := first.Unlock(); err != nil {
				t.Fatal(err)
			}
			second := l.lock(b, "x")
			time.Sleep(time.Minute)
			l.restore(backup, moment)
			restored := time.Now()
			third := l.lock(c, "x")
			if took := time.Since(restored); took > time.Second {
				t.Errorf("the next one has it after %v", took)
			}
			for second.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if took := time.Since(restored); took > 4*copyEvery {
				t.Errorf("the copies came after %v: its holder by the newer state has heard of it %v later",
					moment, took)
			}
			if third.Fence() <= second.Fence() {
				t.Errorf("fence %d after %d", third.Fence(), second.Fence())
			}
			third.Unlock()
		})
	}
}

// replay has a node's copy made anew from the log, entry by entry, while it is what the node looks at.
func (l *lab) replay(n *labNode) {
	l.change(func() {
		n.late, n.applied = true, 0
		n.machine.Store(NewMachine(n.news))
	})
	for done := false; !done; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		if done = n.applied == len(l.entries); !done {
			e := l.entries[n.applied]
			n.applied++
			n.machine.Load().Apply(uint64(n.applied), e.now, e.cmd)
		}
		l.mu.Unlock()
	}
	l.change(func() { n.late = false })
}

// A node whose copy is made anew from the log, and so has runs for a while that are over, or does not have
// the one that goes on, begins none of them again.
func TestReplayBeginsNothing(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		var g ledger
		var now, most atomic.Int32
		over, end := context.WithCancel(l.t.Context())
		defer end()
		err := n.Every("j", Schedule{Cron: "*/10 * * * *", Zone: "UTC"}, func(_ context.Context, k Tick) error {
			g.note(n.run, k.Time)
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			sleep.For(over, 9*time.Minute) // whatever its own context says, which a copy that lacks the run ends
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 11*time.Minute) // within a run
		for range 3 {
			l.replay(n)
			time.Sleep(time.Minute + 170*time.Millisecond)
		}
		l.until(time.Hour, "it goes on", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.runs) == 9 })
		for at, by := range g.runs {
			if len(by) != 1 {
				t.Errorf("%v was begun %d times", at, len(by))
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d runs at one time of a job that skips", most.Load())
		}
	})
}
