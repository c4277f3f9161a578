package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// Log replicates the commands of a Machine: package cluster's Handle is one.
type Log interface {
	// Propose has cmd applied on all nodes, exactly once, and returns when it is on this one, with the machine's answer. With
	// an error, an index above 0 says that cmd was applied, with that answer, and only this node does not have it yet.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Query asks the machine of a node that has everything acknowledged before the call.
	Query(ctx context.Context, q []byte) ([]byte, error)

	// Barrier returns when this node's machine has everything acknowledged, anywhere, before the call. Calls made at the
	// same time share the work.
	Barrier(ctx context.Context) error

	// Wait returns when this node's machine has what was applied up to index.
	Wait(ctx context.Context, index uint64) error

	// Applied returns the index up to which this node's machine has everything.
	Applied() uint64

	// Level returns the protocol level that the nodes work at, as far as this one knows. Commands that need a higher one,
	// see CommandLevel, are refused.
	Level() int

	// Spread returns nil once every node that answers readers has what was applied up to index; an error if ctx ends before,
	// or if that cannot be known of some node.
	Spread(ctx context.Context, index uint64) error

	// Staleness returns the age of the last proof that this node's machine had everything committed.
	Staleness() time.Duration
}

// maxWaiters bounds how many reads of one node wait for its own copy, and then, how many ask the leader.
const maxWaiters = 1000

// replicated is a Store whose sessions every node holds. Reads are local and changes go through a log.
type replicated struct {
	log     Log
	local   func() *Machine
	cluster func() string

	gone    goneCache
	waiting atomic.Int64 // reads waiting for the local copy
	asking  atomic.Int64 // reads asking the leader
	watches watches
	name    atomic.Pointer[clusterName]
}

type clusterName struct {
	id string
	at time.Time
}

// NewReplicated returns a store over a log. local returns this node's own copy of the machine that log replicates; it is
// called for each read, because the copy may be replaced. cluster returns the name of the log's history, "" as long as it
// is unknown; it is called once a second at most.
func NewReplicated(log Log, local func() *Machine, cluster func() string) Store {
	return &replicated{log: log, local: local, cluster: cluster, watches: watches{local: local}}
}

// Load answers from memory if it can: that is the case for nearly every request. Only a copy that lags behind what the
// client has seen, or that lacks the session, makes it ask others.
func (r *replicated) Load(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error) {
	applied := r.log.Applied() // first, so that the copy read is not older
	m := r.local()
	rec, ok := m.Get(key)
	switch {
	case !ok && m.Ended(key): // and what has ended stays so: true however old the copy is
		return Record{}, false, nil
	case !ok, f.Newest:
		return r.missing(ctx, key, f)
	case applied < f.Index:
		return r.behind(ctx, key, f)
	}
	return r.trusted(rec, f)
}

// trusted returns what the local copy holds, unless the node has been out of contact for too long: the session may have
// been ended elsewhere since.
func (r *replicated) trusted(rec Record, f Freshness) (Record, bool, error) {
	if f.MaxStale > 0 && r.log.Staleness() > f.MaxStale {
		return Record{}, false, fmt.Errorf("%w: no contact for longer than %v", ErrStale, f.MaxStale)
	}
	return rec, true, nil
}

// missing decides whether a session unknown here exists elsewhere, or how it is by now.
func (r *replicated) missing(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error) {
	if m := r.local(); !f.Newest && r.gone.has(key, r.origin(m)) {
		return Record{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	if err := r.log.Barrier(ctx); err != nil {
		return Record{}, false, fmt.Errorf("%w: %w", ErrStale, err)
	}
	m := r.local()
	rec, ok := m.Get(key)
	if !ok && !m.Holds(key) { // one that is held, past its deadline by this node's clock, may have a touch on its way
		r.gone.add(key, r.origin(m))
	}
	return rec, ok, nil
}

func (r *replicated) origin(m *Machine) origin { return origin{m, r.clusterID(m.Now())} }

// behind serves a client that has seen something newer than this copy: wait a little, then ask the leader for this one
// session. What the leader sends is used for this call only; the copy changes by its log alone.
func (r *replicated) behind(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error) {
	if !r.wait(ctx, f) {
		return r.fetch(ctx, key, f)
	}
	m := r.local()
	rec, ok := m.Get(key)
	switch {
	case ok:
		return r.trusted(rec, f)
	case m.Ended(key):
		return Record{}, false, nil
	}
	return r.missing(ctx, key, f) // past its deadline by this copy's clock, and a touch may be on its way
}

func (r *replicated) wait(ctx context.Context, f Freshness) bool {
	defer r.waiting.Add(-1)
	if r.waiting.Add(1) > maxWaiters {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	return r.log.Wait(ctx, f.Index) == nil
}

var errBusy = errors.New("too many reads are asking the leader")

func (r *replicated) fetch(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error) {
	defer r.asking.Add(-1)
	if r.asking.Add(1) > maxWaiters {
		return Record{}, false, fmt.Errorf("%w: %w", ErrStale, errBusy)
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	b, err := r.log.Query(ctx, state.Fetch{Key: key}.Append(nil))
	if err != nil {
		return Record{}, false, fmt.Errorf("%w: %w", ErrStale, err)
	}
	got, err := state.DecodeFetched(b)
	switch {
	case err != nil:
		return Record{}, false, fmt.Errorf("%w: %w", ErrStale, err)
	case got.Found && got.Applied < f.Index:
		return Record{}, false, fmt.Errorf("%w: and so is the leader", ErrStale)
	}
	return got.Record, got.Found, nil
}

// A change waits for a new leader, which takes a second or two. On a node that has been out of contact for much longer it does
// not wait for all its time: whoever asks is told to come back, before too many others ask.
const (
	lostContact = 8 * time.Second
	shortWait   = time.Second
)

func (r *replicated) Do(ctx context.Context, cmd Command) (Answer, error) {
	if r.log.Staleness() > lostContact {
		short, cancel := context.WithTimeout(ctx, shortWait)
		defer cancel()
		ctx = short
	}
	index, value, err := r.log.Propose(ctx, cmd.Append(nil))
	if err != nil && index == 0 {
		return Answer{}, err
	}
	return answerOf(index, value) // if only this node is late, whoever has seen the index waits for it
}

func (r *replicated) Spread(ctx context.Context, index uint64) error { return r.log.Spread(ctx, index) }

func (r *replicated) Watch(key StoreKey, index uint64, ended func()) (stop func()) {
	return r.watches.watch(key, index, ended)
}

func (r *replicated) Status() Status {
	s := statusOf(r.local())
	s.Cluster, s.Level = r.clusterID(s.Now), r.log.Level()
	return s
}

// clusterID returns the cluster's name as it was at most a second ago, by the machine's clock: it has just been looked at,
// and looking at another costs as much again. That one may be set; then the name is asked for once more than needed.
func (r *replicated) clusterID(now time.Time) string {
	if now.IsZero() { // nothing has been applied yet
		now = time.Now()
	}
	if n := r.name.Load(); n != nil && n.id != "" {
		if age := now.Sub(n.at); age >= 0 && age < time.Second {
			return n.id
		}
	}
	n := &clusterName{r.cluster(), now}
	r.name.Store(n)
	return n.id
}
