package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// Heartbeats take the same way into raft as all other requests, to its main goroutine. That may be inside a
// write to a slow disk, or restoring a snapshot, for longer than the leader's lease; then the transport
// answers in its place. See DESIGN.md, Heartbeats.

// task is a request that keeps raft's main goroutine busy for longer than a heartbeat may wait.
type task struct {
	term   uint64
	leader string    // server ID
	last   *raft.Log // the last entry of an append; nil for a snapshot
}

// SetHeartbeatHandler ignores the handler, as a transport may. With it raft would change its term and state
// on a goroutine of the transport, beside its main goroutine: an old leader that takes a write just then
// stores it under the new leader's term, takes the new leader's entry of that index for the one it has, and
// applies another entry there than all others (raft issue 695).
func (t *transport) SetHeartbeatHandler(handler func(raft.RPC)) {
	if t.beside {
		t.NetworkTransport.SetHeartbeatHandler(handler)
	}
}

// heartbeat passes on a heartbeat that came over the network, or answers it if raft is busy with what the
// same leader sent. It runs on the connection's own goroutine.
func (t *transport) heartbeat(rpc raft.RPC) {
	req := rpc.Command.(*raft.AppendEntriesRequest)
	t.seen.saw(req)
	look := time.NewTicker(t.patience)
	defer look.Stop()
	for {
		select {
		case t.consumer <- rpc:
			t.seen.taken(req)
			return
		case <-look.C:
			if t.busyFor(req) {
				rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: t.header(), Term: req.Term, Success: true},
					nil)
				return
			}
		case <-t.done:
			return
		}
	}
}

// busyFor reports whether raft's main goroutine is, at this moment, storing an append or installing a
// snapshot of the very leader that sent the heartbeat, in the same term. Then raft would answer as we do: it
// has accepted this leader in this term, and nothing but the main goroutine can change that. Once the
// instance is cut off, nothing is answered.
func (t *transport) busyFor(req *raft.AppendEntriesRequest) bool {
	doing := t.installing.Load()
	if stored := t.storing.Load(); stored != nil {
		if doing = t.appending.Load(); doing != nil && doing.last != stored {
			return false
		}
	}
	return doing != nil && doing.term == req.Term && doing.leader == string(req.ID) &&
		t.term() == req.Term && t.layer.ctx.Err() == nil
}

// store has it known that a write of these entries is under way. Their addresses tell whose append it is.
func (t *transport) store(entries []*raft.Log, write func() error) error {
	if n := len(entries); n > 0 {
		t.storing.Store(entries[n-1])
		defer t.storing.Store(nil)
	}
	return write()
}

// took notes what raft's main goroutine has just taken, if it may take long. A new request is taken only when
// the one before has been answered, by the same goroutine.
func (t *transport) took(rpc raft.RPC) {
	switch req := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if n := len(req.Entries); n > 0 {
			t.appending.Store(&task{req.Term, string(req.ID), req.Entries[n-1]})
		}
	case *raft.InstallSnapshotRequest:
		t.installing.Store(&task{term: req.Term, leader: string(req.ID)})
	}
}

// untilInstalled returns the request with a channel of its own for the answer, and what waits for that and
// passes it on.
func (t *transport) untilInstalled(rpc raft.RPC) (_ raft.RPC, wait func()) {
	answer, asker := make(chan raft.RPCResponse, 1), rpc.RespChan
	rpc.RespChan = answer
	return rpc, func() {
		defer t.installing.Store(nil)
		select {
		case a := <-answer:
			asker <- a
		case <-t.done:
		}
	}
}
