package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// While Tuning.Heartbeat is changed by a rolling restart, nodes differ. A leader sends a heartbeat after a
// tenth to a fifth of its own timeout; a follower whose timeout is a fifth of that, or less, would give it up
// again and again. So a follower asks its leader, and waits for as long as that expects if it would wait for
// less itself.

// pace is the leader's heartbeat timeout, as that leader has told it.
type pace struct {
	mu     sync.Mutex
	leader string // server ID of who told it
	told   time.Duration
}

// of returns what a leader has told; 0 = nothing.
func (p *pace) of(leader string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader != leader {
		return 0
	}
	return p.told
}

func (p *pace) set(leader string, told time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader, p.told = leader, told
}

const (
	paceRetry    = 100 * time.Millisecond
	pacePatience = 5 * time.Minute // for a rolling restart
	longestPace  = time.Hour       // that is believed
)

// pacing has this node wait for as long for a heartbeat as its leader expects.
type pacing struct {
	*core
	tuner     *tuner
	suspected *suspicion
	told      pace
}

// heartbeatTimeout is for how long this node waits for a heartbeat of the present leader.
func (p *pacing) heartbeatTimeout() time.Duration {
	leader, _ := p.leader.get()
	return max(p.node.cfg.Tuning.Heartbeat, p.told.of(leader))
}

// keep has raft wait for as long as is right for the present leader, unless that is suspected.
func (p *pacing) keep() {
	p.suspected.during("", func() { p.tuner.setHeartbeat(p.heartbeatTimeout()) })
}

// follow is called when the leader has changed.
func (p *pacing) follow() {
	p.keep()
	if leader, ctx := p.leader.get(); leader != "" && leader != p.server {
		p.wg.Go(func() { p.ask(ctx, leader) })
	}
}

// ask asks the leader for its heartbeat timeout, until it has told, leads no more, or says that its
// program does not know the question.
func (p *pacing) ask(ctx context.Context, leader string) {
	for {
		out, _, err := p.node.peers.Call(ctx, wire.NodeOf(leader), wire.MethodHeartbeat, nil)
		if err == nil {
			r := wire.NewReader(out)
			ms := r.Uvarint()
			if err = r.End(); err == nil {
				p.told.set(leader, time.Duration(min(ms, uint64(longestPace.Milliseconds())))*time.Millisecond)
				p.keep()
				p.watch(ctx, leader)
				return
			}
		}
		if errors.Is(err, ErrVersion) || !sleep.For(ctx, paceRetry) {
			return
		}
	}
}

// watch says so if the leader's timeout is another one for long.
func (p *pacing) watch(ctx context.Context, leader string) {
	n := p.node
	own, told := n.cfg.Tuning.Heartbeat.Truncate(time.Millisecond), p.told.of(leader)
	for own != told && sleep.For(ctx, pacePatience) {
		n.warnOnce("heartbeat", "the leader has another heartbeat timeout than this node. Give all nodes the "+
			"same Tuning.Heartbeat.", fmt.Errorf("%v on %s, which leads, and %v here", told,
			n.members.nameOf(leader), own))
	}
}

// answer tells this node's heartbeat timeout.
func (p *pacing) answerHeartbeat() []byte {
	return binary.AppendUvarint(nil, uint64(p.node.cfg.Tuning.Heartbeat.Milliseconds()))
}
