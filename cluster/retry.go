package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// raft sends nothing for a while after an append that failed: twice as long each time, up to ten seconds,
// and nothing ends that wait (raft issue 73). A node that comes back after a minute would get the log
// seconds later than heartbeats. So raft does not hear of the failure as long as it may be mended: the
// append is tried again when the follower answers heartbeats.

const (
	retryFirst = 10 * time.Millisecond // between two attempts at one append, whatever is heard; it doubles
	retryMost  = time.Second
	retryLook  = time.Second // how often it is looked whether there is still sense in it
)

// AppendEntries sends one request and waits for the answer. One that is no heartbeat is sent again until it
// is answered, without its entries, since a follower may be away for long: raft sends them once it has the
// answer. It fails when there is no reason to send it any more.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(args) {
		return t.sendHeartbeat(id, target, args, resp)
	}
	f, transfers := t.layer.followers.of(string(target)), t.handing.count()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := t.sendAppend(id, target, args, resp)
		// Raft may wait for the sender since a transfer began, and for longer than it takes: it is let go then.
		if err == nil || t.handing.count() != transfers || !t.awaitFollower(f, string(id), args.Term, pause) {
			return err
		}
		args.Entries, *resp = nil, raft.AppendEntriesResponse{}
	}
}

// awaitFollower waits after a failed append until the follower has answered something, and for a pause. It
// reports whether the append may be tried again.
func (t *transport) awaitFollower(f *follower, server string, term uint64, pause time.Duration) bool {
	t.held.Add(1)
	defer t.held.Add(-1)
	failed := time.Now()
	end := time.NewTimer(pause)
	defer end.Stop()
	look := time.NewTicker(retryLook)
	defer look.Stop()
	for paused := false; ; {
		heard, changed, handing := f.heard.Next(), t.changed.Next(), t.handing.next() // before what they tell
		if t.handing.underWay() || !t.feeds(server, term) {
			return false
		}
		if paused && f.line.LastHeard().After(failed) {
			return true
		}
		select {
		case <-end.C:
			paused = true
		case <-heard:
		case <-changed:
		case <-handing:
		case <-look.C:
		case <-t.done:
			return false
		}
	}
}

// feeds reports whether this node leads in a term, and a server is in the configuration. Else raft's sender
// to that server has to end.
func (f *feeding) feeds(server string, term uint64) bool {
	<-f.made
	if f.raft == nil || f.raft.State() != raft.Leader || f.raft.CurrentTerm() != term {
		return false
	}
	for _, s := range f.configuration().Servers {
		if string(s.ID) == server {
			return true
		}
	}
	return false
}
