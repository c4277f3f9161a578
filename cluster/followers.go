package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// followers is what a leader knows of those that it sends the log to, by server ID. The zero value knows of
// none.
type followers struct {
	mu   sync.Mutex
	byID map[string]*follower
}

// follower is one of them.
type follower struct {
	line  line.Line
	heard broadcast.Signal // it has answered something; line says so already

	mu sync.Mutex
	// the last entry that it is known to have, or what the snapshot that it is sent reaches to; 0 = not known
	at     uint64
	feeds  int   // snapshots on their way to it
	fed    int   // snapshots that it was sent since it needed little of the log at last
	weighs int64 // bytes of the latest snapshot that it was sent
}

// of returns the follower of a server ID.
func (f *followers) of(server string) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = make(map[string]*follower)
	}
	one := f.byID[server]
	if one == nil {
		one = new(follower)
		f.byID[server] = one
	}
	return one
}

// known returns the follower of a server ID, nil if nothing was sent to it.
func (f *followers) known(server string) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID[server]
}

// known returns the last entry that a follower is known to have, 0 if none is, when it has answered last, and
// whether it is sent a snapshot.
func (f *follower) known() (at uint64, heard time.Time, fed bool) {
	heard = f.line.LastHeard()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, heard, f.feeds > 0
}

// answered notes how a follower answered an append, and after which time.
func (f *follower) answered(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
	took time.Duration) {
	defer f.heard.Notify()
	switch {
	case isHeartbeat(req):
		f.line.Beat(took)
		return
	case !resp.Success:
		f.line.Heard()
		return
	}
	f.line.Answered(entriesSize(req.Entries), took)
	at := req.PrevLogEntry
	if n := len(req.Entries); n > 0 {
		at = req.Entries[n-1].Index
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = at
}

// feed notes that a follower is sent a snapshot, until the returned function is called.
func (f *follower) feed(index uint64, size int64) (done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.weighs = index, size
	f.feeds++
	f.fed++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.feeds--
	}
}

// needs returns the entry from which on a follower that can be reached needs the log, 0 if it needs none. And
// it returns the size of the snapshot that it was sent last, and how many snapshots before that one were too
// old when it had them.
func (f *follower) needs() (from uint64, weighs int64, late int) {
	alive := f.line.Alive()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feeds == 0 && !alive {
		return 0, 0, 0
	}
	return f.at, f.weighs, max(f.fed-1, 0)
}

// caughtUp notes that a follower needs little of the log, unless that is because it is sent a snapshot.
func (f *follower) caughtUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feeds == 0 {
		f.fed = 0
	}
}

// roundTrip returns how long it takes from here to a majority of the voters and back, at the least; 0 if that
// is not known. The way to this server itself takes no time.
func (f *followers) roundTrip(here string, voters []string) time.Duration {
	var trips []time.Duration // of those that answer
	for _, id := range voters {
		if id == here {
			trips = append(trips, 0)
		} else if one := f.known(id); one != nil {
			if d, known := one.line.RoundTrip(); known {
				trips = append(trips, d)
			}
		}
	}
	if len(trips) <= len(voters)/2 {
		return 0
	}
	slices.Sort(trips)
	return trips[len(voters)/2]
}

// all returns every follower.
func (f *followers) all() (out []*follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.byID {
		out = append(out, one)
	}
	return out
}
