package once

import "sync/atomic"

// Stats are the figures of one node's part in locks and jobs. Counts are since the client was made.
type Stats struct {
	Held    int `json:"held"`    // leases of this node: locks, singletons, migrations, and runs of jobs
	Waiting int `json:"waiting"` // requests of this node for locks; a singleton that runs elsewhere is one
	Running int `json:"running"` // singletons and jobs whose functions run here

	Runs   uint64 `json:"runs"`   // of jobs that were begun here
	Failed uint64 `json:"failed"` // of these, how many ended in an error
	Lost   uint64 `json:"lost"`   // leases that ended because this node was not sure of them any more

	Ended    uint64 `json:"ended"`    // runs of nodes whose end this node has seen, and told the farm
	Expired  uint64 `json:"expired"`  // runs of nodes that this node has not heard of, and had expire
	Replaced uint64 `json:"replaced"` // times that this node itself was taken for dead
}

// counters are what Stats counts.
type counters struct{ runs, failed, lost, ended, expired, replaced atomic.Uint64 }

// Stats returns the figures of this node.
func (c *Client) Stats() Stats {
	n := &c.counters
	s := Stats{Runs: n.runs.Load(), Failed: n.failed.Load(), Lost: n.lost.Load(), Ended: n.ended.Load(),
		Expired: n.expired.Load(), Replaced: n.replaced.Load()}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Running = c.running
	if o := c.owner; o != nil {
		s.Held, s.Waiting = o.figures()
	}
	return s
}

// figures returns how many leases are held, and how many requests wait.
func (o *owner) figures() (held, waiting int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.leases), len(o.waiting)
}
