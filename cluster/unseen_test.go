package cluster

import (
	"slices"
	"testing"
	"time"
)

// A node that was started again while another one was away has not seen that one. It says so until it has:
// the other one is in the configuration, and may run.
func TestStateUnseen(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		away, id := l.nodes[2], l.nodes[2].ID()
		if got := l.nodes[0].State().Unseen; len(got) > 0 {
			t.Errorf("all are there: %v", got)
		}
		away.kill()
		for _, n := range l.nodes[:2] {
			n.kill()
		}
		for _, n := range l.nodes[:2] {
			n.start()
		}
		l.ready(l.nodes[:2]...)
		for _, n := range l.nodes[:2] {
			st := n.State()
			_, listed := st.Member(id)
			if listed == slices.Contains(st.Unseen, id) || len(st.Unseen) > 1 || listed && n == l.nodes[0] {
				t.Errorf("one is away: %v, listed %v", st.Unseen, listed)
			}
		}
		away.start()
		l.ready(away)
		time.Sleep(5 * time.Second)
		if got := l.nodes[0].State().Unseen; len(got) > 0 {
			t.Errorf("it is back: %v", got)
		}
	})
}
