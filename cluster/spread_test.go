package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// Spread says that all have an entry, and after nil all do; it does not say so of a node that is cut off or
// dead, and does not wait for one that has said that it stops.
func TestSpread(t *testing.T) {
	inLab(t, 5, true, func(l *lab) {
		leader, others := l.leader()
		write := func(n *labNode, cmd string) (index uint64) {
			t.Helper()
			index, _, err := n.Handle("kv").Propose(l.ctx(20*time.Second), []byte(cmd))
			if err != nil {
				l.fatalf("%s: %v", cmd, err)
			}
			return index
		}
		all := func(n *labNode, index uint64, value string, readers ...*labNode) {
			t.Helper()
			if err := n.Handle("kv").Spread(l.ctx(20*time.Second), index); err != nil {
				l.t.Errorf("Spread: %v", err)
			}
			for _, r := range readers {
				if got := r.get("x"); got != value {
					l.t.Errorf("%s reads %q after Spread, want %q", r.conf.Name, got, value)
				}
			}
		}
		all(others[0], write(others[0], "append x 1"), "1,", l.nodes...)
		all(leader, write(leader, "append x 2"), "1,2,", l.nodes...)

		cut, stopping, writer := others[3], others[2], others[0]
		l.cut(cut)
		index := write(writer, "append x 3")
		if err := writer.Handle("kv").Spread(l.ctx(time.Second),
			index); !errors.Is(err, context.DeadlineExceeded) {
			l.t.Errorf("with a node cut off that seems alive: %v, want the deadline", err)
		}
		for dead := false; !dead; time.Sleep(100 * time.Millisecond) {
			s := writer.directory.Get(cut.id)
			dead = s != nil && s.Status == roster.Dead
		}
		began := time.Now()
		if err := writer.Handle("kv").Spread(l.ctx(time.Minute), index); err == nil ||
			time.Since(began) > 10*time.Second {
			l.t.Errorf("with a dead node: %v after %v, want an error without much ado", err,
				time.Since(began))
		}
		l.net.Heal()
		l.until(time.Minute, "the one that was cut off is heard again",
			func() bool { return writer.directory.Get(cut.id).Status == roster.Alive })
		all(writer, index, "1,2,3,", l.nodes...)

		stopping.stop()
		all(writer, write(writer, "append x 4"), "1,2,3,4,", leader, writer, cut)
	})
}
