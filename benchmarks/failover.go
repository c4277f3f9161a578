package main

import (
	"context"
	"fmt"
	"time"
)

// crashes is what happened to the requests through the survivors when one node of a system was killed, several times.
type crashes struct {
	label      string
	leader     bool            // it was the leader
	pauses     []time.Duration // without an acknowledged write, at the survivor where it was longest
	writes     int             // through survivors
	failed     int             // of them, within watchPatience
	reads      int             // from the survivors' own copies
	readFailed int
	why        string
}

const (
	watchBefore = 500 * time.Millisecond
	watchAfter  = 3 * time.Second
)

// failover kills nodes, the leader and a follower by turns, of one system after the other.
func (b *bench) failover(ctx context.Context, systems []*system) ([]*crashes, error) {
	var out []*crashes
	for _, s := range systems {
		if err := s.load(); err != nil {
			return nil, err
		}
		out = append(out, &crashes{label: s.label, leader: true}, &crashes{label: s.label})
	}
	for range b.kills {
		for i, s := range systems {
			for _, c := range out[2*i : 2*i+2] {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if err := s.crash(c); err != nil {
					return nil, err
				}
			}
		}
	}
	b.printCrashes(out)
	return out, nil
}

// crash kills one node while the others watch, and brings it back.
func (s *system) crash(c *crashes) error {
	leader, err := s.leader()
	if err != nil {
		return err
	}
	victim := leader
	if !c.leader {
		victim = (leader + 1) % nodes
	}
	survivors := []int{(victim + 1) % nodes, (victim + 2) % nodes}
	for n, i := range survivors {
		o := order{Do: orderWatch, First: n * 100, Keys: 100, For: watchBefore + watchAfter}
		if err := s.workers[i].enc.Encode(o); err != nil {
			return err
		}
	}
	time.Sleep(watchBefore)
	at := time.Now()
	s.kill(victim)
	var worst time.Duration
	for _, i := range survivors {
		r, err := s.workers[i].report()
		if err != nil {
			return fmt.Errorf("%s, worker %d: %w", s.label, i+1, err)
		}
		w := r.Watched
		if len(w.Acked) == 0 || w.Acked[len(w.Acked)-1] < at.Add(watchAfter-watchBefore).UnixNano() {
			return fmt.Errorf("%s: writes through node %d have not come back within %v", s.label, i+1, watchAfter)
		}
		worst = max(worst, w.pause(at))
		c.writes += w.Writes
		c.failed += w.WriteErrors
		c.reads += w.Reads
		c.readFailed += w.ReadErrors
		if w.Why != "" {
			c.why = w.Why
		}
	}
	c.pauses = append(c.pauses, worst)
	return s.revive(victim)
}
