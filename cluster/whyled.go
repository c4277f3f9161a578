package cluster

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Raft hears of a change of the leader before gossip says why: what the old leader does next is told in the
// moment after. So the line in the log waits for that moment, unless the reason is known, and is written with
// the others in order.
const (
	reasonPatience   = 500 * time.Millisecond // for gossip to say that the old leader stops
	farewellPatience = 3 * reasonPatience     // then, for it to say whether it stops or leaves for good
)

// leaderChange is a line to be logged.
type leaderChange struct {
	before, now string // server IDs: who led last, "" if none is known; who leads, "" for nobody
	term        uint64
	end         *reign // of before; nil if this instance did not see it
}

// chronicle logs who leads, and why that is so.
type chronicle struct {
	*core
	pacing     *pacing
	suspecting *suspecting
	reigns     reigns
	sighted    chan struct{} // holds one: gossip had news
}

// watch keeps the leader that raft knows, and logs its changes after the lines there are.
func (ch *chronicle) watch(observed <-chan raft.Observation, lines []leaderChange) {
	for {
		lines = ch.logLeaders(lines, false)
		var due <-chan time.Time
		if len(lines) > 0 {
			_, wait := ch.whyLed(lines[0])
			due = time.After(wait)
		}
		select {
		case <-observed:
			_, id := ch.raft.LeaderWithID()
			if id != "" {
				ch.suspecting.believeLeader()
			}
			if ch.leader.set(ch.ctx, string(id)) {
				lines = append(lines, ch.leaderChanged(string(id)))
				ch.pacing.follow()
			}
		case <-ch.sighted:
		case <-due:
		case <-ch.ctx.Done():
			ch.logLeaders(lines, true)
			return
		}
	}
}

// lastLed is the server ID of the last leader that a node knew.
type lastLed struct {
	mu     sync.Mutex
	server string
}

// swap notes who leads now, "" for nobody, and returns who led last before.
func (l *lastLed) swap(server string) (before string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.server
	if server != "" {
		l.server = server
	}
	return before
}

// leaderChanged notes who leads now.
func (ch *chronicle) leaderChanged(server string) leaderChange {
	n := ch.node
	before := n.lastLed.swap(server)
	n.changed.Notify()
	return leaderChange{before, server, ch.raft.CurrentTerm(), ch.reigns.end(before)}
}

// logLeaders logs who leads and why that is so, in order, up to the first line whose reason is not known yet;
// at the end all. It returns the others.
func (ch *chronicle) logLeaders(lines []leaderChange, atEnd bool) []leaderChange {
	for len(lines) > 0 {
		c := lines[0]
		reason, wait := ch.whyLed(c)
		if wait > 0 && !atEnd {
			break
		}
		if c.end != nil && c.before != c.now {
			c.end.reason = reason // the next line is about the end of the same reign
		}
		ch.log.Info("leader changed", keyLeader, ch.node.members.nameOf(c.now), keyTerm, c.term, "reason", reason)
		lines = lines[1:]
	}
	return lines
}

// whyLed says why who led before leads no more, as far as this node can tell, and how long to wait for news
// that may tell more.
func (ch *chronicle) whyLed(c leaderChange) (reason string, wait time.Duration) {
	n := ch.node
	switch {
	case c.before == "" && c.now == "":
		return "none has been elected yet", 0
	case c.before == "":
		return "it is the first that this node knows of", 0
	case c.before == c.now:
		return "it was elected again", 0
	case c.end == nil:
		return "this node began anew", 0 // with another instance of Raft, or it was still starting
	case c.end.reason != "":
		return c.end.reason, 0
	case wire.NodeOf(c.before) == n.id:
		return ch.whyLedHere(c.end)
	}
	return ch.whyLedThere(c.end)
}

// whyLedHere is whyLed if it was this node that led.
func (ch *chronicle) whyLedHere(r *reign) (reason string, wait time.Duration) {
	n := ch.node
	going, _ := n.departure.going()
	switch newer := ch.reigns.outdone(r); {
	case going != "":
		return going, 0
	case ch.reigns.handedOver(r):
		return "this node handed over", 0
	case newer != "": // the heir's request for this node's vote may come yet
		return "a newer term was seen from " + n.members.nameOf(newer), untilAfter(r, reasonPatience)
	case ch.broken.Load() != nil:
		return "this node could not write its log", 0
	}
	return "this node lost contact with a majority", 0
}

// whyLedThere is whyLed if it was another node that led.
func (ch *chronicle) whyLedThere(r *reign) (reason string, wait time.Duration) {
	n := ch.node
	name, wait := n.members.nameOf(r.server), untilAfter(r, reasonPatience)
	s := n.directory.Get(wire.NodeOf(r.server))
	if s == nil {
		s = &roster.Sighting{}
	}
	going, dismissed := n.departure.going()
	switch newer := ch.reigns.outdone(r); {
	case dismissed: // the leader does not speak to this node any more
		return going, 0
	case s.ForGood || s.Status == roster.Left:
		return name + " leaves for good", 0
	case s.Status == roster.Stopped:
		return name + " stops", 0
	case s.Leaving:
		return name + " stops", untilAfter(r, farewellPatience)
	case ch.reigns.handedOver(r):
		return name + " handed over", wait
	// so long a follower waits that was told that the leader's process is gone
	case r.silent >= n.cfg.Tuning.Heartbeat/2:
		return name + " was not heard in time", wait
	case newer != "": // it may still be there, beyond a line that is cut for the others
		return "a newer term was seen from " + n.members.nameOf(newer), wait
	}
	return name + " handed over", wait
}

// untilAfter returns how long it is until d after the end of a reign, 0 if that is over.
func untilAfter(r *reign, d time.Duration) time.Duration {
	return max(0, time.Until(r.at.Add(d)))
}
