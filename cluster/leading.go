package cluster

// watchLeadership starts and ends leaderships. raft waits for this channel to be read, so it does nothing
// slow here.
func (in *instance) watchLeadership(notify <-chan bool) {
	for {
		select {
		case leads := <-notify:
			in.endLeadership()
			if leads {
				in.beginLeadership()
			}
		case <-in.ctx.Done():
			in.endLeadership()
			return
		}
	}
}

func (in *instance) beginLeadership() {
	l := newLeadership(in, in.raft.CurrentTerm())
	in.lead.Store(l)
	in.wg.Go(func() {
		l.run()
		in.lead.CompareAndSwap(l, nil)
	})
	in.node.changed.Notify()
}

func (in *instance) endLeadership() {
	if l := in.lead.Swap(nil); l != nil {
		l.cancel()
	}
	in.node.changed.Notify()
}
