package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Heartbeats take the same way into raft as all other requests, to its main goroutine. That may be inside
// a write to a slow disk, restoring a snapshot, or waiting for slow state machines, for longer than the
// leader's lease; then the transport answers in its place. See DESIGN.md, Heartbeats.

// beatPatience is for how long a heartbeat waits for raft, before it is looked whether it can be answered in
// its place. It goes by the shortest lease that a leader may have, half of leastHeartbeat: this node's own
// timeout says nothing about its leader's.
const beatPatience = leastHeartbeat / 20

// task is a request that keeps raft's main goroutine busy, for longer than a heartbeat may wait perhaps.
type task struct {
	term   uint64
	leader string // server ID
}

func taskOf(term uint64, leader []byte) *task { return &task{term, string(leader)} }

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
	late, done := t.beats.begin(senderOf(rpc))
	defer done()
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
		case <-late:
			t.refuse(rpc, errSentAgain)
			return
		case <-t.done:
			return
		}
	}
}

// busyFor reports whether raft's main goroutine is, at this moment, at an append or a snapshot of the very
// leader that sent the heartbeat, in the same term: it stores entries, waits for room in the queue to the
// state machines, or installs. Then raft would answer as we do: it has accepted this leader in this term,
// and nothing but the main goroutine can change that. Once the instance is cut off, nothing is answered.
func (t *transport) busyFor(req *raft.AppendEntriesRequest) bool {
	by := func(doing *task) bool {
		return doing != nil && doing.term == req.Term && doing.leader == string(req.ID)
	}
	at := by(t.installing.Load()) || by(t.appending.Load()) || by(t.nudging.Load())
	return at && t.term() == req.Term && t.layer.ctx.Err() == nil
}

// untilAppended does what until does, and looks at what raft refuses.
func (t *transport) untilAppended(rpc raft.RPC, req *raft.AppendEntriesRequest) (_ raft.RPC, taken func()) {
	restoredTo := t.restoring.to.Load()
	return t.until(rpc, &t.appending, taskOf(req.Term, req.ID), func(a raft.RPCResponse) {
		if r, ok := a.Response.(*raft.AppendEntriesResponse); ok && !r.Success && r.Term == req.Term {
			t.lookAt(req, restoredTo)
			t.vouchFor(req)
		}
	})
}

// vouchFor has raft hear a leader whose append it has just refused, because its log lacks what comes before.
// By such an append raft knows the leader, but does not count it as heard, and in the next moment might give
// it up for that. What raft is told here is what the leader's next heartbeat will say.
func (t *transport) vouchFor(req *raft.AppendEntriesRequest) {
	beat := &raft.AppendEntriesRequest{RPCHeader: req.RPCHeader, Term: req.Term}
	t.wg.Go(func() { t.tell(context.Background(), beat) })
}

// until returns a request with a channel of its own for the answer, and what to do when raft has taken it:
// until raft answers, it is noted that raft is busy with this request. The answer is passed on after a look
// at it.
func (t *transport) until(rpc raft.RPC, at *atomic.Pointer[task], doing *task,
	look func(raft.RPCResponse)) (_ raft.RPC, taken func()) {
	answer, asker := make(chan raft.RPCResponse, 1), rpc.RespChan
	rpc.RespChan = answer
	pass := func() {
		defer at.CompareAndSwap(doing, nil) // raft may be at the next one by now
		select {
		case a := <-answer:
			look(a)
			asker <- a
		case <-t.done:
		}
	}
	return rpc, func() {
		at.Store(doing)
		t.wg.Go(pass)
	}
}
