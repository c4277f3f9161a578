package cluster

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/testkv"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A command that is proposed together is committed, and waits at the node that leads until its machine has
// applied what comes before. What is written meanwhile goes out in appends: they do not tell of the commit.
func TestProposeTogetherUnderLoad(t *testing.T) {
	t.Parallel()
	const busy = 50 * time.Millisecond
	unformed(t, 3, false, func(l *lab) {
		var mu sync.Mutex
		at := map[string][]time.Time{} // when "set k ..." was applied
		for i, n := range l.nodes {
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				m := testkv.New()
				m.Note = func(_ int, _, _ uint64, cmd []byte) {
					switch leads := n.live.Load().instance().leading.now() != nil; {
					case strings.HasPrefix(string(cmd), "set"):
						mu.Lock()
						at[string(cmd)] = append(at[string(cmd)], time.Now())
						mu.Unlock()
					case string(cmd) == "push slow x" && leads:
						time.Sleep(busy)
					}
				}
				return m
			}}
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, _ := l.leader()
		ctx := l.ctx(time.Hour)
		propose := func(cmd string) { leader.Handle("kv").Propose(ctx, []byte(cmd)) }
		for _, v := range strings.Fields("a b c d e") {
			var wg sync.WaitGroup
			wg.Go(func() { propose("push slow x") })
			sleep.For(ctx, busy/5)
			wg.Go(func() { leader.Handle("kv").ProposeTogether(ctx, []byte("set k "+v)) })
			sleep.For(ctx, busy/5)
			for range 8 { // as many as are under way, at least: an entry leaves with them
				wg.Go(func() { propose("push y z") })
			}
			wg.Wait()
			time.Sleep(300 * time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(at) != 5 {
			l.t.Errorf("%d commands were applied", len(at))
		}
		for cmd, times := range at {
			apart := slices.MaxFunc(times, time.Time.Compare).Sub(slices.MinFunc(times, time.Time.Compare))
			if len(times) != len(l.nodes) || apart > 5*time.Millisecond {
				l.t.Errorf("%q was applied by %d nodes, %v apart", cmd, len(times), apart)
			}
		}
	})
}
