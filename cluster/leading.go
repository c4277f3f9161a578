package cluster

import "sync/atomic"

// leading begins and ends leaderships, and is the leader's side of what others ask.
type leading struct {
	*core
	witness    *witness
	newTerm    func(term uint64) *leadership
	unanswered names // server IDs of followers whose heartbeats fail, as the leader
	lead       atomic.Pointer[leadership]
}

// now returns the present leadership; nil if this node does not lead.
func (ld *leading) now() *leadership { return ld.lead.Load() }

// letGo returns the servers that this node has let go since it leads, each with the counter of the run that
// stops; nil if it does not lead.
func (ld *leading) letGo() map[string]uint64 {
	if l := ld.now(); l != nil {
		return l.controlling.letGoSoFar()
	}
	return nil
}

// watch starts and ends leaderships. raft waits for this channel to be read, so nothing slow is done here.
func (ld *leading) watch(notify <-chan bool) {
	for {
		select {
		case leads := <-notify:
			ld.end()
			if leads {
				ld.begin()
			}
		case <-ld.ctx.Done():
			ld.end()
			return
		}
	}
}

func (ld *leading) begin() {
	l := ld.newTerm(ld.raft.CurrentTerm())
	ld.lead.Store(l)
	ld.wg.Go(func() {
		l.run()
		ld.lead.CompareAndSwap(l, nil)
	})
	ld.node.changed.Notify()
}

func (ld *leading) end() {
	if l := ld.lead.Swap(nil); l != nil {
		l.cancel()
	}
	ld.node.changed.Notify()
}
