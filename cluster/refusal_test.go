package cluster

import (
	"testing"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A sign of raft issue 697 is that raft refuses an append which begins right behind a restored snapshot. Its
// answer then has the term of the sender. Nothing else counts.
func TestRefusalBehindASnapshot(t *testing.T) {
	for name, c := range map[string]struct {
		restoredTo, prev, term uint64
		success                bool
		counts                 bool
	}{
		"the fault":             {10, 10, 2, false, true},
		"what follows is taken": {10, 10, 2, true, false},
		"another append":        {10, 9, 2, false, false},
		"no snapshot":           {0, 10, 2, false, false},
		"by a later term":       {10, 10, 3, false, false},
	} {
		bubble.Test(t, func(t *testing.T) {
			tr := &transport{done: make(chan struct{}), restoring: new(restoring)}
			tr.restoring.to.Store(c.restoredTo)
			defer close(tr.done)
			asked := make(chan raft.RPCResponse, 1)
			req := &raft.AppendEntriesRequest{Term: 2, PrevLogEntry: c.prev}
			rpc, taken := tr.untilAppended(raft.RPC{Command: req, RespChan: asked}, req)
			rpc.Respond(&raft.AppendEntriesResponse{Term: c.term, Success: c.success}, nil)
			taken()
			if r := (<-asked).Response.(*raft.AppendEntriesResponse); r.Success != c.success {
				t.Errorf("%s: another answer than raft's: %+v", name, r)
			}
			if counted := tr.restoring.refusals > 0; counted != c.counts {
				t.Errorf("%s: counted: %v", name, counted)
			}
		})
	}
}
