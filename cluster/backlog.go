package cluster

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// backlog is the requests that came over the network and wait for raft, in their order. Raft may be busy with
// one of them for as long as a state machine hangs. Meanwhile the others try again and again, each time over
// another connection, which stays open until its request is answered. Nobody waits for an answer to what it
// has sent again. So of each kind of request, and of each server, the latest waits, and an earlier one is
// refused. The zero value holds none. One goroutine uses it.
type backlog struct{ waits []waitingRequest }

type waitingRequest struct {
	rpc  raft.RPC
	kind reflect.Type
	from string // server ID
	came time.Time
}

var (
	errSentAgain = errors.New("a later request of the same kind has come")
	errTooLate   = errors.New("an order to stand for election has come too late")
)

// add has a request wait, and returns the one whose place it takes.
func (q *backlog) add(rpc raft.RPC, came time.Time) (old raft.RPC, replaced bool) {
	r := waitingRequest{rpc, reflect.TypeOf(rpc.Command), senderOf(rpc), came}
	i := slices.IndexFunc(q.waits, func(o waitingRequest) bool { return o.kind == r.kind && o.from == r.from })
	if i >= 0 {
		old, replaced = q.waits[i].rpc, true
		q.waits = slices.Delete(q.waits, i, i+1)
	}
	q.waits = append(q.waits, r)
	return old, replaced
}

// next takes out the first.
func (q *backlog) next() (r waitingRequest, ok bool) {
	if len(q.waits) == 0 {
		return r, false
	}
	r = q.waits[0]
	q.waits = slices.Delete(q.waits, 0, 1)
	return r, true
}

func senderOf(rpc raft.RPC) string {
	if h, ok := rpc.Command.(raft.WithRPCHeader); ok {
		return string(h.GetRPCHeader().ID)
	}
	return ""
}

// refuse answers a request that raft does not get. What is left of a snapshot is read: the connection would
// take it for requests.
func (t *transport) refuse(rpc raft.RPC, why error) {
	if rpc.Reader == nil {
		rpc.Respond(nil, why)
		return
	}
	t.wg.Go(func() {
		io.Copy(io.Discard, &snapshotStream{rpc.Reader, t})
		rpc.Respond(nil, why)
	})
}

// latestBeat has the latest heartbeat of each server wait for raft, and no earlier one. The zero value has
// none.
type latestBeat struct {
	mu sync.Mutex
	of map[string]chan struct{} // by server ID; closed when a later one has come
}

// begin notes that a heartbeat waits, until done is called.
func (l *latestBeat) begin(server string) (late <-chan struct{}, done func()) {
	own := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]chan struct{}{}
	}
	if before := l.of[server]; before != nil {
		close(before)
	}
	l.of[server] = own
	return own, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.of[server] == own {
			delete(l.of, server)
		}
	}
}
