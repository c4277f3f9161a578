package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// transport is raft's network transport with a second way in, for what the nudger has to say, and with its
// own ideas about appends (append.go) and heartbeats (heartbeat.go). It embeds the concrete type: behind an
// interface raft would not find pre-vote.
type transport struct {
	*raft.NetworkTransport
	layer    *streamLayer
	seen     *reigns
	consumer chan raft.RPC
	done     chan struct{}
	held     atomic.Int32   // appends that wait for their follower
	inbound  atomic.Int32   // reads of snapshots under way
	log      *growth        // of the local log
	unison   *unison        // what is held back of what is committed
	quietFor time.Duration  // that an append which says nothing new is held back
	wg       sync.WaitGroup // of forward
	told     tellings
	handing  *handover
	changed  *broadcast.Signal // of the node: who leads, and the configuration, among others

	ahead    func(index uint64) bool    // whether the local raft is as far as an index
	leader   func() string              // server ID of the leader that the local raft knows; "" = none
	reached  func(server string) uint64 // what a server was heard to have applied
	takesIn  func(server string) bool   // whether a server may be taking in a snapshot; it is asked
	term     func() uint64              // of the local raft, once it has taken a request
	elects   elector
	feeds    func(server string, term uint64) bool // whether there is sense in sending it log in a term
	patience time.Duration                         // with raft, before a heartbeat is answered in its place
	// for how long an order to stand for election may wait for raft
	orders time.Duration
	// for tests: heartbeats take raft's own way, beside its main goroutine
	beside     bool
	restoring  *restoring           // is told when what follows a snapshot is refused
	appending  atomic.Pointer[task] // the append that raft is at; nil = there is none
	beats      latestBeat
	nudging    atomic.Pointer[task] // the nudge that raft is at, given by another goroutine; nil = there is none
	installing atomic.Pointer[task] // the snapshot that raft is installing; nil = there is none
}

func newTransport(in *instance) *transport {
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: in.layer,
		Logger: raftLogger(in.log), MaxPool: 3,
		MaxRPCsInFlight: 2, Timeout: 3 * time.Second, MsgpackUseNewTimeFormat: true})
	t := &transport{NetworkTransport: inner, layer: in.layer, seen: &in.chronicle.reigns,
		consumer: make(chan raft.RPC), done: make(chan struct{}),
		ahead: in.ahead, leader: in.raftLeader, orders: in.node.cfg.Tuning.Heartbeat,
		reached: in.node.directory.Reached,
		takesIn: in.feeding.mayTakeIn, restoring: in.restoring, elects: in.suspecting,
		handing: in.handing.latest, changed: &in.node.changed, feeds: in.feeding.feeds,
		term: func() uint64 { return in.raft.CurrentTerm() }, patience: beatPatience,
		log: &in.grown, unison: &in.node.unison, quietFor: in.node.cfg.Tuning.Heartbeat / 2,
		beside: in.node.hooks.heartbeatsBeside}
	inner.SetHeartbeatHandler(t.heartbeat)
	return t
}

// header is what goes before an answer.
func (t *transport) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.layer.server),
		Addr: []byte(t.layer.server)}
}

// Consumer is where raft takes its requests from.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// forward passes on what came over the network, until stop.
func (t *transport) forward() {
	defer t.wg.Wait()
	var waits backlog
	var head *passing // what raft is to take next; nil = nothing waits
	for {
		for head == nil {
			r, ok := waits.next()
			if !ok {
				break
			}
			head = t.prepare(r.rpc, r.came)
		}
		if !t.passOne(&head, &waits) {
			return
		}
	}
}

// passing is a request that is about to be passed on, with what to do when raft has taken it.
type passing struct {
	rpc   raft.RPC
	taken func()
	late  <-chan time.Time // when raft is not to get it any more; nil = never
}

// passOne hands raft a request, if there is one, or takes in another one, whichever can be done first. It
// reports false after stop.
func (t *transport) passOne(head **passing, waits *backlog) bool {
	var to chan<- raft.RPC // nil as long as there is nothing to pass on
	var rpc raft.RPC
	var late <-chan time.Time
	if *head != nil {
		to, rpc, late = t.consumer, (*head).rpc, (*head).late
	}
	select {
	case came := <-t.NetworkTransport.Consumer():
		t.seen.saw(came.Command)
		if old, replaced := waits.add(came, time.Now()); replaced {
			t.refuse(old, errSentAgain)
		}
	case <-late:
		t.refuse(rpc, errTooLate)
		*head = nil
	case to <- rpc:
		t.seen.taken(rpc.Command)
		(*head).taken()
		*head = nil
	case <-t.done:
		return false
	}
	return true
}

// prepare makes a request ready for raft that came at some moment; nil if raft is not to see it.
func (t *transport) prepare(rpc raft.RPC, came time.Time) *passing {
	then := func() {}
	var late <-chan time.Time
	switch req := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		boundCommit(req) // the sender may be an older program
		rpc, then = t.untilAppended(rpc, req)
	case *raft.InstallSnapshotRequest:
		rpc.Reader = &snapshotStream{rpc.Reader, t}
		if t.ahead(req.LastLogIndex) {
			t.wg.Go(func() { t.passOver(rpc, req) })
			return nil
		}
		rpc.Reader = &firstLook{Reader: rpc.Reader, ahead: func() bool { return t.ahead(req.LastLogIndex) }}
		rpc, then = t.until(rpc, &t.installing, taskOf(req.Term, req.ID), func(raft.RPCResponse) {})
	case *raft.TimeoutNowRequest:
		left := t.orders - time.Since(came)
		if left <= 0 || string(req.ID) != t.leader() {
			t.refuse(rpc, errTooLate)
			return nil
		}
		late = time.After(left)
	}
	return &passing{rpc, then, late}
}

// lookAt looks whether what raft has refused follows a snapshot that it has restored.
func (t *transport) lookAt(req *raft.AppendEntriesRequest, restoredTo uint64) {
	if restoredTo != 0 && req.PrevLogEntry == restoredTo {
		t.restoring.refused()
	}
}

func (t *transport) stop() {
	close(t.done)
	t.Close()
	t.CloseStreams()
}

// tell hands raft a request as if it had come over the network, and returns its answer.
func (t *transport) tell(ctx context.Context, req *raft.AppendEntriesRequest) *raft.AppendEntriesResponse {
	ch := make(chan raft.RPCResponse, 1)
	select {
	case t.consumer <- raft.RPC{Command: req, RespChan: ch}:
		doing := taskOf(req.Term, req.ID)
		t.nudging.Store(doing)
		defer t.nudging.CompareAndSwap(doing, nil)
	case <-t.done:
		return nil
	case <-ctx.Done():
		return nil
	}
	select {
	case resp := <-ch:
		r, _ := resp.Response.(*raft.AppendEntriesResponse)
		return r
	case <-t.done:
		return nil
	case <-ctx.Done():
		return nil
	}
}
