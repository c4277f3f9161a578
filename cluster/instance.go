package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
)

// instance is one Raft instance with everything that belongs to it: its log, its state machines, its
// connections, its origin. A node has one at a time; it gets a new one when it must forget its state (see
// resets). It puts its parts together, starts them and ends them; what a part does, and under which lock,
// stands with the part.
type instance struct {
	*core

	storage      *storage
	tuner        *tuner
	pacing       *pacing
	suspecting   *suspecting
	leading      *leading
	feeding      *feeding
	handing      *handingOver
	chronicle    *chronicle
	breakage     *breakage
	stalls       *stalls
	restoring    *restoring
	snapshotting *snapshotting
	witness      *witness
	figures      *figures
	transport    *transport
	nudger       *nudger
	origin       *originator

	forwarding sync.WaitGroup // apart, because it ends last
	end        ending
}

const (
	commitTimeout    = 100 * time.Millisecond
	drainPatience    = 500 * time.Millisecond
	shutdownPatience = 5 * time.Second
)

// newInstance makes an instance of a node whose parts are put together. What it has of a log, of connections
// and of raft is still missing.
func newInstance(is *instances, server string, boot uint64) *instance {
	in := &instance{core: &core{node: is, server: server, boot: boot, log: is.log, made: make(chan struct{}),
		quiet: newEnding()}, end: newEnding()}
	in.ctx, in.cancel = context.WithCancel(is.ctx)
	in.halted = in.halt
	in.assemble()
	return in
}

// assemble makes the parts. What one has of another is its field; there is nothing else between them.
func (in *instance) assemble() {
	c, suspected := in.core, new(suspicion)
	in.storage = &storage{core: c}
	in.tuner = &tuner{core: c}
	in.pacing = &pacing{core: c, tuner: in.tuner, suspected: suspected}
	in.suspecting = &suspecting{core: c, tuner: in.tuner, pacing: in.pacing, suspected: suspected}
	in.chronicle = &chronicle{core: c, pacing: in.pacing, suspecting: in.suspecting,
		sighted: make(chan struct{}, 1)}
	in.handing = &handingOver{core: c, latest: new(handover)}
	in.feeding = &feeding{core: c}
	in.breakage = &breakage{core: c, storage: in.storage}
	in.stalls = &stalls{core: c, storage: in.storage}
	in.restoring = &restoring{core: c, storage: in.storage}
	in.witness = &witness{core: c, marks: make(chan replica.Marked, 1)}
	in.leading = &leading{core: c, witness: in.witness, newTerm: in.newLeadership}
	in.snapshotting = &snapshotting{core: c, storage: in.storage, tuner: in.tuner, leading: in.leading,
		breakage: in.breakage, now: make(chan struct{}, 1)}
	in.figures = &figures{core: c, storage: in.storage}
}

// newLeadership makes the leadership of a term.
func (in *instance) newLeadership(term uint64) *leadership { return newLeadership(in, term) }

// start starts every goroutine of the instance.
func (in *instance) start(notify <-chan bool) {
	observed := make(chan raft.Observation, 64)
	in.raft.RegisterObserver(raft.NewObserver(observed, false, in.observe))
	in.forwarding.Go(in.transport.forward)
	_, leader := in.raft.LeaderWithID() // raft may have elected itself already
	in.leader.set(in.ctx, string(leader))
	var lines []leaderChange
	if leader != "" {
		in.chronicle.reigns.change(string(leader), in.raft.CurrentTerm())
		lines = append(lines, in.chronicle.leaderChanged(string(leader)))
		in.pacing.follow()
	}
	in.wg.Go(func() { in.leading.watch(notify) })
	in.wg.Go(func() { in.chronicle.watch(observed, lines) })
	in.wg.Go(func() { in.nudger.run(in.ctx) })
	in.wg.Go(in.origin.run)
	in.wg.Go(in.snapshotting.run)
	in.wg.Go(in.witness.hashMarked)
}

// halt ends this node's part in the farm for good: its state machines, or its log, cannot go on.
func (in *instance) halt(err error) {
	in.node.fail(err)
	in.node.progress.end(in.node.failure.get())
	in.node.spawn(func() { // not here: this is raft's own goroutine, perhaps before NewRaft has returned
		<-in.made
		in.stop()
	})
}

// observe is raft's observer: it takes note of heartbeats at once, and lets changes of the leader through to
// chronicle.watch, which reads the newest state anyway.
func (in *instance) observe(o *raft.Observation) bool {
	switch d := o.Data.(type) {
	case raft.LeaderObservation:
		in.chronicle.reigns.change(string(d.LeaderID), in.raft.CurrentTerm())
		return true
	case raft.FailedHeartbeatObservation:
		in.leading.unanswered.set(string(d.PeerID), true)
	case raft.ResumedHeartbeatObservation:
		in.leading.unanswered.set(string(d.PeerID), false)
	}
	return false
}

// stop ends the instance. The order matters: first whoever works with raft, so that entries in flight are
// answered; then its connections (an inbound snapshot that stalls would hold up raft's shutdown for ever);
// then raft; then the log.
func (in *instance) stop() error {
	in.end.run(func() error {
		if err := in.standDown(); err != nil {
			return err
		}
		return in.storage.store.Close()
	})
	return in.end.err
}

// standDown ends all of the instance but its log and its state, which may be read on.
func (in *instance) standDown() error {
	in.quiet.run(in.shutDown)
	return in.quiet.err
}

func (in *instance) shutDown() error {
	in.cancel()
	raftlog.Abandon(in.storage.files) // a write that waits for a file descriptor may wait for ever
	if !waited(&in.wg, drainPatience) {
		in.layer.Close() // now a leader steps down, and raft gives up what it has in flight
		if !waited(&in.wg, shutdownPatience) {
			in.log.Warn("work in progress did not end in time", keyServer, in.server)
		}
	}
	in.layer.Close()
	in.transport.stop()
	in.forwarding.Wait()
	if in.raft == nil {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		in.raft.Shutdown().Error()
		close(ended)
	}()
	t := time.NewTimer(shutdownPatience)
	defer t.Stop()
	select {
	case <-ended:
		return nil
	case <-t.C:
		return errors.New("raft does not stop: its disk may hang; the data directory stays locked until the " +
			"process ends")
	}
}
