package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is given up while it waits for its entry takes no room at the leader, is not sent again, and is not in
// the log: of many callers on each node, one alone has its command in the entry that was begun.
func TestGivenUpBeforeItsEntry(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		const callers = 40 // on each node
		leader, _ := l.leader()
		for _, n := range l.nodes {
			n.must("set %s 1", n.conf.Name) // so that all are registered
		}
		lead := leader.instance().leading.now()
		for range entriesInFlight { // no entry leaves
			lead.flights.slots <- struct{}{}
		}
		ctx, giveUp := context.WithCancel(l.t.Context())
		var wg sync.WaitGroup
		for i := range callers {
			for _, n := range l.nodes {
				wg.Go(func() {
					cmd := fmt.Appendf(nil, "append x %s.%d", n.conf.Name, i)
					if _, _, err := n.Handle("kv").Propose(ctx, cmd); !errors.Is(err, context.Canceled) {
						l.t.Errorf("%s: %v", cmd, err)
					}
				})
			}
			time.Sleep(10 * time.Millisecond)
		}
		intake := &lead.sequencer.intake
		waiting := intake.stats(time.Now()).Waiting
		giveUp()
		wg.Wait()
		time.Sleep(time.Second)
		if left := intake.stats(time.Now()).Waiting; waiting.Count < callers || left.Count != 0 {
			l.t.Errorf("%d commands wait at the leader, and %d when nobody waits for them", waiting.Count,
				left.Count)
		}
		for range entriesInFlight {
			<-lead.flights.slots
		}
		time.Sleep(time.Second)
		leader.must("append y 1")
		if got := strings.Count(leader.get("x"), ","); got != 1 {
			l.t.Errorf("%d commands that were given up are in the log, want 1: %s", got, leader.get("x"))
		}
	})
}
