package cluster

import (
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// witness says what this copy of the state is, and knows what was found out about the copies.
type witness struct {
	*core
	diverged atomic.Pointer[divergence]
	marks    chan replica.Marked           // holds one
	hashed   atomic.Pointer[replica.Point] // the last state that was hashed as a whole
}

// divergence returns what this node was told, or found out, last.
func (w *witness) divergence() divergence {
	if d := w.diverged.Load(); d != nil {
		return *d
	}
	return divergence{}
}

// setDivergence notes what is known, and says so if it is news.
func (w *witness) setDivergence(d divergence) {
	before := w.divergence()
	if before == d {
		return
	}
	w.diverged.Store(&d)
	switch {
	case d.text == "":
		w.log.Info("all copies of the farm's state are the same again")
	case d.stop && !before.stop:
		w.log.Error("copies of the farm's state differ, and no majority has the same: the farm takes no "+
			"writes", keyError, d.err())
	default:
		w.log.Warn("copies of the farm's state differ", keyError, d.err())
	}
	w.node.changed.Notify()
}

// marked is told by the state, while it is locked, that it was frozen at a mark. One frozen state waits at a
// time: the newest.
func (w *witness) marked(index uint64, s *replica.Snapshot) {
	select {
	case <-w.marks:
	default:
	}
	w.marks <- replica.Marked{Index: index, State: s}
}

// hashMarked hashes the states that are frozen at marks.
func (w *witness) hashMarked() {
	for {
		select {
		case m := <-w.marks:
			h := &slowHash{ctx: w.ctx, since: time.Now()}
			if err := m.State.Write(h); err != nil {
				if w.ctx.Err() == nil {
					w.log.Warn("the state cannot be hashed, so it is not compared with that of others",
						"index", m.Index, keyError, err)
				}
				continue
			}
			w.hashed.Store(&replica.Point{Index: m.Index, Sum: h.Sum()})
		case <-w.ctx.Done():
			return
		}
	}
}

// answerCompare is the side of a copy that is asked.
func (w *witness) answerCompare(from wire.Hello, payload []byte) ([]byte, error) {
	q, err := parseQuestion(payload)
	if err != nil {
		return nil, err
	}
	switch {
	case w.node.failure.get() != nil:
		return nil, ErrClosed
	case q.server != w.server || w.ctx.Err() != nil:
		return nil, wire.ErrNotMe
	}
	if w.follows(from) {
		w.setDivergence(q.divergence)
	}
	return w.testify(q.index).append(nil), nil
}

func (w *witness) testify(index uint64) testimony {
	t := testimony{chain: w.fsm.PointAt(index)}
	if p := w.hashed.Load(); p != nil {
		t.state = *p
	}
	return t
}
