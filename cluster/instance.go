package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
)

// instance is one Raft instance with everything that belongs to it: its log, its state machines, its
// connections, its origin. A node has one at a time; it gets a new one when it must forget its state (see
// resets).
type instance struct {
	node      *instances
	server    string // Raft server ID
	boot      uint64
	log       *slog.Logger
	fsm       *replica.State
	store     raftlog.Store
	kept      *raftlog.Keeping // beneath store
	files     raftlog.Store    // store, beneath what watches over it
	snaps     raft.SnapshotStore
	memory    *raftlog.MemorySnapshots // beneath snaps; nil = they are on disk
	layer     *streamLayer
	transport *transport
	raft      *raft.Raft
	origin    *originator
	nudger    *nudger

	grown      growth
	unanswered names // server IDs of followers whose heartbeats fail, as the leader
	lead       atomic.Pointer[leadership]
	leader     leaderCell
	suspected  suspicion // that the leader is gone
	pace       pace      // of the leader's heartbeats
	reigns     reigns
	sighted    chan struct{}         // holds one: gossip had news
	broken     atomic.Pointer[error] // by which a write to the log failed
	diverged   atomic.Pointer[divergence]
	marks      chan replica.Marked           // holds one
	hashed     atomic.Pointer[replica.Point] // the last state that was hashed as a whole

	ctx    context.Context // ends when the instance begins to stop
	cancel context.CancelFunc
	wg     sync.WaitGroup

	forwarding sync.WaitGroup // apart, because it ends last

	reloadMu sync.Mutex // held while raft's configuration is changed

	watchMu  sync.Mutex
	stalled  *time.Timer // runs while a write to the log takes too long
	refusals int         // of what follows a restored snapshot, since something was applied; see refused

	stateSize       atomic.Int64  // of the newest snapshot on disk, in bytes; 0 = not known
	unreadableSince time.Time     // of the newest snapshot; zero = it can be read, as far as known
	tries           int           // to replace that one
	snapshotNow     chan struct{} // holds one: a snapshot is to take the place of one that cannot be read

	notTakenUp atomic.Int32 // snapshots in a row that a machine refused; see restoreRefused

	made  chan struct{} // closed when there is a raft, or never will be
	quiet ending        // of everything but the log
	end   ending
}

const (
	commitTimeout    = 100 * time.Millisecond
	drainPatience    = 500 * time.Millisecond
	shutdownPatience = 5 * time.Second
)

// start starts every goroutine of the instance.
func (in *instance) start(notify <-chan bool) {
	observed := make(chan raft.Observation, 64)
	in.raft.RegisterObserver(raft.NewObserver(observed, false, in.observe))
	in.forwarding.Go(in.transport.forward)
	_, leader := in.raft.LeaderWithID() // raft may have elected itself already
	in.leader.set(in.ctx, string(leader))
	var lines []leaderChange
	if leader != "" {
		in.reigns.change(string(leader), in.raft.CurrentTerm())
		lines = append(lines, in.leaderChanged(string(leader)))
		in.followPace()
	}
	in.wg.Go(func() { in.watchLeadership(notify) })
	in.wg.Go(func() { in.watchLeader(observed, lines) })
	in.wg.Go(func() { in.nudger.run(in.ctx) })
	in.wg.Go(in.origin.run)
	in.wg.Go(in.snapshots)
	in.wg.Go(in.hashMarked)
}

// halted ends this node's part in the farm: its state machines met something that they must not skip.
func (in *instance) halted(err error) {
	in.node.fail(err)
	in.node.progress.end(in.node.failure.get())
	in.node.spawn(func() { // not here: this is raft's own goroutine, perhaps before NewRaft has returned
		<-in.made
		in.stop()
	})
}

// observe is raft's observer: it takes note of heartbeats at once, and lets changes of the leader through to
// watchLeader, which reads the newest state anyway.
func (in *instance) observe(o *raft.Observation) bool {
	switch d := o.Data.(type) {
	case raft.LeaderObservation:
		in.reigns.change(string(d.LeaderID), in.raft.CurrentTerm())
		return true
	case raft.FailedHeartbeatObservation:
		in.unanswered.set(string(d.PeerID), true)
	case raft.ResumedHeartbeatObservation:
		in.unanswered.set(string(d.PeerID), false)
	}
	return false
}

// electSole has a node that is the only voter elect itself at once: there is no leader whose heartbeat it
// could wait for. A change of the timeout has Raft look for a heartbeat at once; watchLeader changes it back.
func (in *instance) electSole() {
	if voters := in.voters(); len(voters) == 1 && voters[0] == in.server {
		in.setHeartbeat(in.node.cfg.Tuning.Heartbeat / 2)
	}
}

// stop ends the instance. The order matters: first whoever works with raft, so that entries in flight are
// answered; then its connections (an inbound snapshot that stalls would hold up raft's shutdown for ever);
// then raft; then the log.
func (in *instance) stop() error {
	in.end.run(func() error {
		if err := in.standDown(); err != nil {
			return err
		}
		return in.store.Close()
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
	raftlog.Abandon(in.files) // a write that waits for a file descriptor may wait for ever
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
