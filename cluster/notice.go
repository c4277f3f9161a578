package cluster

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Raft tells a follower what is committed with its next append, which at rest leaves after the commit
// timeout. So the leader sends notices: one frame, without an answer, to every other configured node. Whoever
// gets one does what it does after a write of its own: it tells its raft (nudge.go). A notice may be lost,
// and an older program does not know it; then the append tells.

// notices is the leader's part.
type notices struct {
	*tenure
	newest atomic.Uint64 // index of the last entry of this term that is known to be committed
	due    atomic.Uint64 // index up to which everybody should have been told by now
	wake   chan struct{} // holds one: newest has risen

	mu   sync.Mutex
	busy map[string]bool // server IDs of those to whom a notice is under way
}

const (
	noticeDelay = 2 * time.Millisecond // in which an append that is to come may make a notice needless
	noticePause = time.Second          // after one that could not be sent
)

func newNotices(t *tenure) *notices {
	return &notices{tenure: t, wake: make(chan struct{}, 1), busy: map[string]bool{}}
}

// noticingFSM is the state as raft is given it: what is to be applied is committed.
type noticingFSM struct {
	*replica.State
	leading *leading
}

// ApplyBatch takes note of what is committed, and applies it.
func (f noticingFSM) ApplyBatch(logs []*raft.Log) []any {
	last := logs[len(logs)-1]
	if l := f.leading.now(); l != nil && last.Term == l.term {
		l.awaiting.followers(last.Index)
		l.notices.newest.Store(last.Index) // only this goroutine does
		signal(l.notices.wake)
	}
	f.leading.node.unison.released.Store(last.Index)
	defer f.leading.node.meters.apply.Since(time.Now())
	return f.State.ApplyBatch(logs)
}

// run sends notices until the leadership ends.
func (n *notices) run() {
	var before time.Time // of the commit before
	for {
		select {
		case <-n.wake:
		case <-n.ctx.Done():
			return
		}
		index, now := n.newest.Load(), time.Now()
		alone := lone(index, n.in.grown.last.Load(), now.Sub(before))
		before = now
		if !alone && !sleep.For(n.ctx, noticeDelay) {
			return
		}
		if n.leads() {
			n.due.Store(index)
			n.send()
		}
	}
}

// lone reports whether no append is to come soon that would tell of a commit: the log ends with it, and the
// commit before was longer ago than one waits for an append. A writer who waits for each of its writes is not
// slowed down by that.
func lone(index, last uint64, rest time.Duration) bool { return last <= index && rest > noticeDelay }

// send has everybody told who has something to be told, and to whom no notice is under way.
func (n *notices) send() {
	in := n.in
	servers := in.configuration().Servers
	in.transport.told.bound(2 * len(servers))
	for _, srv := range servers {
		if id := string(srv.ID); id != in.server && n.begin(id) {
			n.wg.Go(func() { n.tell(id) })
		}
	}
}

func (n *notices) begin(server string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[server] || !n.lags(server) {
		return false
	}
	n.busy[server] = true
	return true
}

// tell sends notices to one server, one after the other, until it has been told what is due. Each says the
// newest.
func (n *notices) tell(server string) {
	for n.moreOrEnd(server) {
		index := n.newest.Load()
		if err := n.sendOne(server, index); err != nil {
			sleep.For(n.ctx, noticePause)
			n.end(server)
			return
		}
		n.in.transport.told.raise(server, index)
	}
}

// moreOrEnd reports whether there is something that a server should have been told. If not, it notes that no
// notice to it is under way any more.
func (n *notices) moreOrEnd(server string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	more := n.lags(server)
	if !more {
		delete(n.busy, server)
	}
	return more
}

func (n *notices) end(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, server)
}

// lags reports whether neither an append nor a notice has told a server what is due.
func (n *notices) lags(server string) bool {
	return n.in.transport.told.of(server) < n.due.Load()
}

func (n *notices) sendOne(server string, index uint64) error {
	conn, err := n.in.node.peers.Get(n.ctx, wire.NodeOf(server))
	if err != nil {
		return err
	}
	return conn.Tell(n.ctx, wire.MethodCommitted, notice{server, n.term, index}.append(nil))
}

// notice says that the leader of a term has committed an entry of that term.
type notice struct {
	server      string // that is told
	term, index uint64
}

func (n notice) append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(wire.AppendString(dst, n.server), n.term), n.index)
}

func parseNotice(b []byte) (notice, error) {
	r := wire.NewReader(b)
	n := notice{server: r.Text(), term: r.Uvarint(), index: r.Uvarint()}
	return n, r.End()
}

// hear is the side of a node that is told. It does not wait.
func (n *nudger) hear(from wire.Hello, payload []byte) error {
	said, err := parseNotice(payload)
	if err != nil {
		return err
	}
	if said.server != n.server || n.ctx.Err() != nil || !n.follows(from) {
		return wire.ErrNotMe // another log than that of which the sender speaks, or it does not lead here
	}
	n.nudge(nudge{index: said.index, term: said.term, leader: from.Source})
	return nil
}

// tellings says up to which index each server was told of commits. It is a hint: what was sent may be lost.
type tellings struct {
	mu sync.Mutex
	to map[string]uint64 // by server ID
}

func (t *tellings) raise(server string, index uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		t.to = map[string]uint64{}
	}
	t.to[server] = max(t.to[server], index)
}

// bound forgets everybody if there are more than most: the servers of memory nodes come and go.
func (t *tellings) bound(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.to) > most {
		clear(t.to)
	}
}

func (t *tellings) of(server string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to[server]
}
