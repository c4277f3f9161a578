package cluster

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// divergence returns what this node was told, or found out, last.
func (in *instance) divergence() divergence {
	if d := in.diverged.Load(); d != nil {
		return *d
	}
	return divergence{}
}

// setDivergence notes what is known, and says so if it is news.
func (in *instance) setDivergence(d divergence) {
	before := in.divergence()
	if before == d {
		return
	}
	in.diverged.Store(&d)
	switch {
	case d.text == "":
		in.log.Info("all copies of the farm's state are the same again")
	case d.stop && !before.stop:
		in.log.Error("copies of the farm's state differ, and no majority has the same: the farm takes no "+
			"writes", keyError, d.err())
	default:
		in.log.Warn("copies of the farm's state differ", keyError, d.err())
	}
	in.node.changed.Notify()
}

// marked is told by the state, while it is locked, that it was frozen at a mark. One frozen state waits at a
// time: the newest.
func (in *instance) marked(index uint64, s *replica.Snapshot) {
	select {
	case <-in.marks:
	default:
	}
	in.marks <- replica.Marked{Index: index, State: s}
}

// hashMarked hashes the states that are frozen at marks.
func (in *instance) hashMarked() {
	for {
		select {
		case m := <-in.marks:
			w := &slowHash{ctx: in.ctx, since: time.Now()}
			if err := m.State.Write(w); err != nil {
				if in.ctx.Err() == nil {
					in.log.Warn("the state cannot be hashed, so it is not compared with that of others",
						"index", m.Index, keyError, err)
				}
				continue
			}
			in.hashed.Store(&replica.Point{Index: m.Index, Sum: w.Sum()})
		case <-in.ctx.Done():
			return
		}
	}
}

// answerCompare is the side of a copy that is asked.
func (in *instance) answerCompare(from wire.Hello, payload []byte) ([]byte, error) {
	q, err := parseQuestion(payload)
	if err != nil {
		return nil, err
	}
	switch {
	case in.node.failure.get() != nil:
		return nil, ErrClosed
	case q.server != in.server || in.ctx.Err() != nil:
		return nil, wire.ErrNotMe
	}
	if in.follows(from) {
		in.setDivergence(q.divergence)
	}
	return in.testify(q.index).append(nil), nil
}

func (in *instance) testify(index uint64) testimony {
	t := testimony{chain: in.fsm.PointAt(index)}
	if p := in.hashed.Load(); p != nil {
		t.state = *p
	}
	return t
}
