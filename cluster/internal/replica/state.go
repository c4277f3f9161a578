package replica

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// State is what one Raft instance applies its log to: the state machines, the exactly-once table, and the
// log's time. Each instance has its own: a second one over the same machines would apply everything twice.
//
// Apply, ApplyBatch, Snapshot and Restore run on one goroutine of raft, and Freeze on others. Whoever works
// on the state holds work, for as long as a state machine takes; ...Locked means that work is held. Only who
// holds work changes the fields below mu, and holds mu as well for that moment (change). So the holder of
// work reads them as they are; others read them under mu, and never wait for a state machine. Nobody is told
// anything while one of the two is held.
type State struct {
	conf Config
	// replaced as a whole by Restore; changed by those that hold work
	machines atomic.Pointer[map[string]Machine]
	names    []string // of machines, sorted
	halted   atomic.Bool
	bytes    atomic.Int64 // applied since the last snapshot
	entries  atomic.Int64

	formed atomic.Bool   // users may write; never taken back
	second atomic.Bool   // the farm has had a second member; never taken back
	level  atomic.Uint32 // in force; never taken back

	work          workLock
	configuration raft.Configuration // of entry configuredAt; guarded by work
	configuredAt  uint64             // 0 = there was none since the state was made or restored
	markedAt      *Marked            // by the batch that is being applied; nil if it has no mark

	mu       sync.RWMutex
	expect   uint64 // number of founders, 0 = the founder has not said yet
	index    uint64 // of the last entry applied
	stamp    uint64 // the log's time, Unix ms
	servers  []string
	origins  origins
	lastMark uint64 // index of the last mark that was applied here
	chain    chain  // of what was applied since wire.LevelSafety is in force
}

// Config says what a State is made of, and whom it tells what. It tells on the goroutine that applies, and
// holds no lock meanwhile; nil is nobody.
type Config struct {
	// makes the state machines anew, at the beginning and for each Restore; nil = there are none
	Machines func() map[string]Machine
	Since    map[string]int // by machine: the level from which on it has a part in the state
	MaxLevel byte           // the highest protocol level that this program speaks

	Applied  func()             // before each batch
	Advanced func(index uint64) // after each batch and each restored snapshot
	// after each restored snapshot, with how long it took
	Restored func(took time.Duration)
	Refused  func(error) // after a snapshot that is whole, and that a machine did not take up
	// after a batch with a mark, the newest one, with the state as it was there
	Marked func(uint64, *Snapshot)
	Halt   func(error) // once, when the log has something that must not be skipped
}

// New returns the state that every log begins with.
func New(c Config) *State {
	if c.Machines == nil {
		c.Machines = func() map[string]Machine { return nil }
	}
	if c.Applied == nil {
		c.Applied = func() {}
	}
	if c.Advanced == nil {
		c.Advanced = func(uint64) {}
	}
	if c.Restored == nil {
		c.Restored = func(time.Duration) {}
	}
	if c.Refused == nil {
		c.Refused = func(error) {}
	}
	if c.Marked == nil {
		c.Marked = func(uint64, *Snapshot) {}
	}
	if c.Halt == nil {
		c.Halt = func(error) {}
	}
	st := &State{conf: c, work: newWorkLock(), origins: newOrigins()}
	machines := c.Machines()
	st.machines.Store(&machines)
	st.names = slices.Sorted(maps.Keys(machines))
	return st
}

// Machine returns the state machine of a name, nil if there is none. Beside the log, it may only be asked. It
// is another one after a Restore.
func (st *State) Machine(name string) Machine { return (*st.machines.Load())[name] }

// Stopped reports whether this copy of the state has stopped: it applies nothing any more.
func (st *State) Stopped() bool { return st.halted.Load() }

// Stop has this copy apply nothing any more. Nobody is told.
func (st *State) Stop() { st.halted.Store(true) }

// Usable reports whether users may write: enough of the founders vote, or did once.
func (st *State) Usable() bool { return st.formed.Load() }

// Shared reports whether the farm has, or has had, a second member.
func (st *State) Shared() bool { return st.second.Load() }

// change changes fields below mu. The caller holds work.
func (st *State) change(how func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	how()
}

// Pending returns how much was applied since the last snapshot.
func (st *State) Pending() (bytes, entries int64) { return st.bytes.Load(), st.entries.Load() }

// View returns the index of the last entry applied, and the log's time (Unix ms).
func (st *State) View() (index, stamp uint64) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.index, st.stamp
}

// Founders returns how many nodes were to found the farm, 0 if that is not known yet.
func (st *State) Founders() int {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return int(st.expect)
}

// SetBack reports whether the run described by g has an older disk than the farm has seen of its server.
func (st *State) SetBack(g wire.Registration) bool {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.origins.setBack(g)
}

// Given returns the answer to a batch that was applied, or refused because its origin has given it up. Both
// stay as they are.
func (st *State) Given(b *wire.Batch) (a wire.Answer, known bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if st.origins.byID[b.Origin] == nil {
		return wire.Answer{}, false // its registration may be on its way
	}
	return st.origins.find(b)
}

// Knows reports whether an origin is registered.
func (st *State) Knows(origin uint64) bool {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.origins.byID[origin] != nil
}

// PointAt returns what the hash of this copy was at the newest entry that is not beyond index; none if that
// is not known.
func (st *State) PointAt(index uint64) Point {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.chain.at(index)
}
