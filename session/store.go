package session

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// Store keeps sessions. NewMemory and NewReplicated make one; sessiontest.TestStore says whether another keeps the
// rules. All methods are called from many goroutines.
//
// A session is named by a StoreKey, never by its token. Once it has ended, by Destroy or by time, it is as if it had never
// been, and no command brings it back.
type Store interface {
	// Load returns the session of key, at least as new as f.Index. That there is none (false) is always the present truth:
	// it counts everything acknowledged, anywhere, before the call. What cannot be known is an ErrStale.
	Load(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error)

	// Do carries out one command, once, and returns when a Load on this node sees it, or, if this node is late, when
	// one with the Answer's Index does. The Answer means something with a nil error and with ErrConflict. Errors:
	// ErrEnded (there is no such session), ErrConflict (CAS: the value has changed, and the Answer holds the present
	// one; Create: there is, or lately was, a session of that key), ErrTooLarge (a limit; ErrFull if it is one of all
	// sessions together), in which cases nothing has been changed; ErrUncertain, ErrNoLeader, ErrOverloaded, ErrClosed;
	// or ctx's own.
	Do(ctx context.Context, cmd Command) (Answer, error)

	// Spread returns nil if a Load on any node, with an Index of 0, sees what was done up to the Answer.Index given. A store
	// whose copies follow waits for them until ctx ends. An error says that some node may still answer without it.
	Spread(ctx context.Context, index uint64) error

	// Watch calls ended when the session of key has ended, in whatever way, under this key: once, on any
	// goroutine, which it does not hold up, and before Watch returns if it has ended already. It may wait for a Tick to learn
	// of an end by time. The session was there when what has this Answer.Index was done, which a copy that follows may have
	// yet to hear of. After stop no call begins.
	Watch(key StoreKey, index uint64, ended func()) (stop func())

	// Status returns a few facts, at no more cost than a look at a clock.
	Status() Status
}

// Freshness says how new the answer to a Load must be, and what may be done for it.
type Freshness struct {
	Index    uint64        // the answer holds everything up to this Answer.Index
	Newest   bool          // the answer holds everything done before the call: what the client has seen cannot be compared
	Wait     time.Duration // wait for the nearest copy as long as this, before asking farther off
	Timeout  time.Duration // and ask farther off as long as this
	MaxStale time.Duration // do not trust a copy that has been out of contact for longer; 0 = trust any
}

// Answer is what came of a Command.
type Answer struct {
	Index   uint64 // of the command, ordering it among all that change the session
	Version uint64 // of the values written; CAS in conflict: of the present value, 0 if there is none; Take: as it was
	Value   []byte // CAS in conflict: the present value; Take: the value taken
	Found   bool   // whether Value is one
	More    bool   // Tick: another Tick would find more to do at once
}

// Status is what a Store knows about itself.
type Status struct {
	Cluster    string    // names the history that indexes belong to; "" if a Load is always the newest without an index
	Index      uint64    // of the newest command that Load sees
	Now        time.Time // the store's own time, by which sessions end; zero if nothing has happened yet
	LastTick   time.Time // store time of the last Tick; zero if there was none
	Sessions   int       // sessions that a Tick may have to collect
	Tombstones int       // ended sessions that a Tick may have to forget; 0 for a store that remembers none
	Limits     Limits

	LimitsVersion uint64 // for ChangeLimits; 0 if no ChangeLimits has set them
	Bytes         int64  // of memory that all sessions take, as far as Limits.Total bounds it; 0 if that is not known
	Level         int    // Do takes commands of no higher CommandLevel: 3 for a store that knows Renew and ChangeLimits
}

// Command is one of Create, Write, CAS, Take, Destroy, Touch and Tick, and, if Status.Level says so, Renew and ChangeLimits. A
// store that does not look into commands appends them to its log in their encoded form and has a Machine carry them out.
// One whose limits are its own business may answer ChangeLimits with nil and leave it at that.
type Command interface {
	Append(dst []byte) []byte
}

// The commands, their parts, and what they are about. Only Create makes a session; none brings one back.
type (
	Create  = state.Create
	Write   = state.Write
	CAS     = state.CAS
	Take    = state.Take
	Destroy = state.Destroy
	Touch   = state.Touch
	Tick    = state.Tick
	Renew   = state.Renew

	ChangeLimits = state.ChangeLimits

	Entry     = state.Entry     // one value with its name
	Versioned = state.Versioned // one value with its name and version
	StoreKey  = state.Key       // names a session in a Store: 16 bytes of a hash of its token's random part
	Record    = state.Record    // a session as it was at one moment
	Limits    = state.Limits    // what sessions may hold
	Machine   = state.Machine   // the replicated state machine: all sessions
)

// NewRecord returns a Record that holds copies of values, in any order; the caller fills in its fields. It is for stores that
// are not built on a Machine. It fails if a name is empty or there twice, if a version is 0, and if a Record cannot hold
// that much.
func NewRecord(values []Versioned) (Record, error) { return state.NewRecord(values) }

// NewMachine returns an empty state machine, for NewReplicated: the factory to give to whatever replicates it.
func NewMachine() *Machine { return state.New() }

// CommandLevel returns the protocol level that a farm must work at before a command of the Machine may get into its log,
// because programs of earlier releases do not know it; with nil, the level for the Machine itself. It looks at the kind of
// the command only. Whoever replicates the Machine refuses what needs more than the level in force.
func CommandLevel(cmd []byte) int { return state.Level(cmd) }

// answerOf reads what a Machine answered to the command at index.
func answerOf(index uint64, b []byte) (Answer, error) {
	r, err := state.DecodeResult(b)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Index: index, Version: r.Version, Value: r.Value, Found: r.Found, More: r.More}
	switch r.Status {
	case state.OK:
		return a, nil
	case state.Ended:
		return a, ErrEnded
	case state.Conflict, state.Exists:
		return a, ErrConflict
	case state.TooLarge:
		return a, ErrTooLarge
	case state.Full:
		return a, ErrFull
	}
	return a, fmt.Errorf("session: the store refused a command: %v", r.Status)
}
