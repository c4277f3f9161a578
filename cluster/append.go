package cluster

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// raft limits an append by the number of its entries, and here an entry holds up to 896 KiB. A follower that
// is far behind would get all that it lacks in one request; if the line is too thin for that, it would get it
// again from the beginning. raft reads so many from the log, whatever their size, before fit drops what is
// too much
const maxAppendEntries = 64

// fit shortens a request to entries of so many bytes, or to one entry: a prefix of its entries is as good an
// append, and raft counts as sent what is left in the request. Of what is committed it then says only what it
// proves.
func fit(req *raft.AppendEntriesRequest, limit int) {
	size := 0
	for i, e := range req.Entries {
		if size += entrySize(e); size > limit && i > 0 {
			req.Entries = req.Entries[:i]
			break
		}
	}
	boundCommit(req)
}

// entrySize returns how many bytes of an entry are as it is, on the line and on the disk.
func entrySize(e *raft.Log) int { return len(e.Data) + len(e.Extensions) }

func entriesSize(entries []*raft.Log) (size int) {
	for _, e := range entries {
		size += entrySize(e)
	}
	return size
}

// boundCommit limits the commit index of a request to the last entry that its receiver is sure to share with
// the sender. raft limits it to the end of the receiver's log, which may go on with entries of an earlier
// leader, to be overwritten by a later request; they must not be applied because of this one.
func boundCommit(req *raft.AppendEntriesRequest) {
	proven := req.PrevLogEntry
	if n := len(req.Entries); n > 0 {
		proven = req.Entries[n-1].Index
	}
	req.LeaderCommitIndex = min(req.LeaderCommitIndex, proven)
}

var errDeposed = errors.New("the heartbeat was answered with a later term")

// sendHeartbeat sends a heartbeat and waits for the answer. One that has a later term is an error: raft looks
// at the term in the answers to other appends only, and would take this one for a sign that the follower
// still follows, and so renew the lease of a leader that has been deposed.
func (t *transport) sendHeartbeat(id raft.ServerID, target raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := t.sendAppend(id, target, args, resp)
	if err == nil && resp.Term > args.Term {
		return errDeposed
	}
	return err
}

// sendAppend sends a request once, shortened to what the line carries.
func (t *transport) sendAppend(id raft.ServerID, target raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	f := t.layer.followers.of(string(target))
	fit(args, f.line.Limit())
	args.LeaderCommitIndex = t.unison.bound(args.LeaderCommitIndex)
	sent := time.Now()
	if err := t.NetworkTransport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	f.answered(args, resp, time.Since(sent))
	if resp.Term > args.Term {
		t.seen.sawTerm(resp.Term, []byte(id))
	}
	t.told.raise(string(id), args.LeaderCommitIndex)
	return nil
}

// isHeartbeat reports whether a request says nothing but who leads, which raft sends from a goroutine of its
// own.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return req.PrevLogEntry == 0 && req.PrevLogTerm == 0 && len(req.Entries) == 0 &&
		req.LeaderCommitIndex == 0
}
