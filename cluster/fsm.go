package cluster

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// fsm is what one Raft instance applies its log to: the state machines, made anew for each instance because a second
// instance over the same machines would apply everything twice; the exactly-once table; and the log's time.
//
// Apply, ApplyBatch, Snapshot and Restore run on one goroutine of raft, and freeze on others. Whoever works on the state holds
// work, for as long as a state machine takes; ...Locked means that work is held. Fields below mu are changed by those alone, who
// hold mu as well for that moment (change): so they read them as they are, and others read them under mu, and never wait for
// a state machine. Nobody is told anything while one of the two is held; see the order of locks in DESIGN.md.
type fsm struct {
	conf     fsmConfig
	machines map[string]machine
	names    []string // of machines, sorted
	halted   atomic.Bool
	bytes    atomic.Int64 // applied since the last snapshot
	entries  atomic.Int64

	formed atomic.Bool   // users may write; never taken back
	second atomic.Bool   // the farm has had a second member; never taken back
	level  atomic.Uint32 // in force; never taken back

	work     sync.Mutex
	markedAt *markedState // by the batch that is being applied; nil if it has no mark

	mu       sync.RWMutex
	torn     bool   // a Restore failed half way: only another one makes the machines fit together again
	expect   uint64 // number of founders, 0 = the founder has not said yet
	index    uint64 // of the last entry applied
	stamp    uint64 // the log's time, Unix ms
	servers  []string
	origins  origins
	lastMark uint64 // index of the last mark that was applied here
	chain    chain  // of what was applied since levelSafety is in force
}

// machine is a state machine; StateMachine says what its methods promise.
type machine interface {
	Apply(index uint64, now time.Time, cmd []byte) []byte
	Query(q []byte) []byte
	Snapshot() io.WriterTo
	Restore(r io.Reader) error
}

// fsmConfig says what an fsm is made of, and whom it tells what. Whoever is told is told by the goroutine that applies, while
// no lock is held; nil is nobody.
type fsmConfig struct {
	machines map[string]machine
	since    map[string]int // by machine: the level from which on it has a part in the state
	maxLevel byte           // the highest protocol level that this program speaks

	applied  func()                  // before each batch
	advanced func(index uint64)      // after each batch and each restored snapshot
	restored func()                  // after each restored snapshot
	marked   func(uint64, *snapshot) // after a batch with a mark, the newest one, with the state as it was there
	halt     func(error)             // once, when the log has something that must not be skipped
}

func newFSM(c fsmConfig) *fsm {
	if c.applied == nil {
		c.applied = func() {}
	}
	if c.advanced == nil {
		c.advanced = func(uint64) {}
	}
	if c.restored == nil {
		c.restored = func() {}
	}
	if c.marked == nil {
		c.marked = func(uint64, *snapshot) {}
	}
	if c.halt == nil {
		c.halt = func(error) {}
	}
	f := &fsm{conf: c, machines: c.machines, origins: newOrigins()}
	f.names = slices.Sorted(maps.Keys(f.machines))
	return f
}

// machine returns the state machine of a name, nil if there is none. Beside the log, it may only be asked.
func (f *fsm) machine(name string) machine { return f.machines[name] }

// stopped reports whether this copy of the state has stopped: it applies nothing any more.
func (f *fsm) stopped() bool { return f.halted.Load() }

// stop has this copy apply nothing any more. Nobody is told.
func (f *fsm) stop() { f.halted.Store(true) }

// usable reports whether users may write: enough of the founders vote, or did once.
func (f *fsm) usable() bool { return f.formed.Load() }

// shared reports whether the farm has, or has had, a second member.
func (f *fsm) shared() bool { return f.second.Load() }

var _ raft.BatchingFSM = (*fsm)(nil)

var (
	errStopped = errors.New("this copy of the state has stopped")
	errTorn    = errors.New("a snapshot was restored in part, and the log goes on")
)

// Apply is there for the interface; raft calls ApplyBatch.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies committed entries. What it returns for an entry of commands is a []answer, one for each batch.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	f.conf.applied()
	out := make([]any, len(logs))
	index, mark, fault := f.applyAll(logs, out)
	f.conf.advanced(index)
	if mark != nil {
		f.conf.marked(mark.index, mark.state)
	}
	if fault != nil {
		f.conf.halt(fault)
	}
	return out
}

// applyAll applies entries until there is one that must not be skipped, and says then why this copy of the state has stopped
// for good: nothing is applied, nothing counts as applied, no snapshot is taken.
func (f *fsm) applyAll(logs []*raft.Log, out []any) (index uint64, mark *markedState, fault error) {
	f.work.Lock()
	defer f.work.Unlock()
	f.markedAt = nil
	for i, l := range logs {
		if f.halted.Load() {
			break
		}
		answers, err := f.applyLocked(l)
		if err != nil {
			f.halted.Store(true)
			fault = fmt.Errorf("log entry %d: %w", l.Index, err)
			break
		}
		f.bytes.Add(int64(len(l.Data)))
		f.entries.Add(1)
		out[i] = answers
	}
	return f.index, f.markedAt, fault
}

func (f *fsm) applyLocked(l *raft.Log) (answers []wire.Answer, err error) {
	defer recovered(&err)
	switch {
	case f.torn:
		return nil, errTorn
	case l.Type == raft.LogConfiguration:
		f.configureLocked(raft.DecodeConfiguration(l.Data))
	default:
		if answers, err = f.entryLocked(l); err != nil {
			return nil, err
		}
	}
	f.appliedLocked(l, answers)
	return answers, nil
}

// recovered makes an error of a panic: of a state machine, or of this package. One that wraps ErrVersion is a state machine's
// word for a command that it does not know.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		if *err = p; !errors.Is(p, fault.ErrVersion) {
			*err = fmt.Errorf("%w: %w", wire.ErrMachine, p)
		}
	default:
		*err = fmt.Errorf("%w: %v", wire.ErrMachine, p)
	}
}

// change changes fields below mu. The caller holds work.
func (f *fsm) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// appliedLocked notes an entry that was applied.
func (f *fsm) appliedLocked(l *raft.Log, answers []wire.Answer) {
	f.change(func() {
		f.index = l.Index
		if f.levelInForce() >= wire.LevelSafety {
			f.chain.add(l, answers)
		}
	})
	if f.lastMark == l.Index {
		f.markedAt = &markedState{l.Index, f.frozenLocked()}
	}
}

// pointAt returns what the hash of this copy was at the newest entry that is not beyond index; none if that is not known.
func (f *fsm) pointAt(index uint64) point {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.chain.at(index)
}

func (f *fsm) configureLocked(c raft.Configuration) {
	var servers []string
	for _, s := range c.Servers {
		servers = append(servers, string(s.ID))
	}
	slices.Sort(servers)
	if len(servers) > 1 {
		f.second.Store(true)
	}
	f.change(func() {
		f.servers = servers
		f.origins.retain(servers)
	})
}

func (f *fsm) entryLocked(l *raft.Log) ([]wire.Answer, error) {
	r := wire.NewReader(l.Data)
	format, kind := r.Byte(), r.Byte()
	if format != wire.EntryFormat {
		return nil, fmt.Errorf("%w: entry format %d", fault.ErrVersion, format)
	}
	stamp := r.Uvarint()
	f.change(func() { f.stamp = max(f.stamp, stamp) })
	switch kind {
	case wire.EntryOpen:
		return nil, r.End()
	case wire.EntryFound:
		expect := r.Uvarint()
		f.change(func() { f.expect = expect })
		f.formed.Store(f.formed.Load() || f.expect <= 1)
		return nil, r.End()
	case wire.EntryFormed:
		f.formed.Store(true)
		return nil, r.End()
	case wire.EntryLevel:
		return nil, f.levelLocked(r)
	case wire.EntryMark:
		if err := r.End(); err != nil {
			return nil, err
		}
		f.change(func() { f.lastMark = l.Index })
		return nil, nil
	case wire.EntryRegister:
		g := wire.ReadRegistration(r)
		if err := r.End(); err != nil {
			return nil, err
		}
		return []wire.Answer{{Code: f.registerLocked(g), Index: l.Index}}, nil
	case wire.EntryCommands:
		return f.commandsLocked(l.Index, r)
	}
	return nil, fmt.Errorf("%w: entry kind %d", fault.ErrVersion, kind)
}

func (f *fsm) registerLocked(g wire.Registration) (c wire.Code) {
	if !slices.Contains(f.servers, g.Server) {
		return wire.CodeUnregistered
	}
	f.change(func() { c = f.origins.register(g, f.levelInForce() >= wire.LevelSafety) })
	return c
}

// commandsLocked applies the batches of an entry, after a look at all of them: an entry is applied as a whole or not.
func (f *fsm) commandsLocked(index uint64, r *wire.Reader) ([]wire.Answer, error) {
	batches, err := f.readBatches(r)
	if err != nil {
		return nil, err
	}
	now := time.UnixMilli(int64(f.stamp)).UTC()
	answers := make([]wire.Answer, len(batches))
	for i := range batches {
		a, known := f.origins.find(&batches[i])
		if !known {
			a = f.batchLocked(index, now, &batches[i])
			f.change(func() { f.origins.keep(&batches[i], a) })
		}
		answers[i] = a
	}
	return answers, nil
}

func (f *fsm) readBatches(r *wire.Reader) (out []wire.Batch, err error) {
	for r.More() {
		b := wire.ReadBatch(r)
		if r.Failed() {
			break
		}
		if err := b.Each(func(name, _ []byte) {
			if f.machines[string(name)] == nil {
				err = fmt.Errorf("%w: a state machine called %q", fault.ErrVersion, name)
			}
		}); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, errors.Join(err, r.End())
}

func (f *fsm) batchLocked(index uint64, now time.Time, b *wire.Batch) wire.Answer {
	a := wire.Answer{Index: index, Value: make([][]byte, 0, b.Count)}
	b.Each(func(name, cmd []byte) {
		a.Value = append(a.Value, slices.Clone(f.machines[string(name)].Apply(index, now, cmd))) // the table's own
	})
	return a
}

// pending returns how much was applied since the last snapshot.
func (f *fsm) pending() (bytes, entries int64) { return f.bytes.Load(), f.entries.Load() }

// view is what others may know of the fsm's own state.
func (f *fsm) view() (index, stamp uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.index, f.stamp
}

// founders returns how many nodes were to found the farm, 0 if that is not known yet.
func (f *fsm) founders() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return int(f.expect)
}

// setBack reports whether the run described by g has an older disk than the farm has seen of its server.
func (f *fsm) setBack(g wire.Registration) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.origins.setBack(g)
}

// given returns the answer to a batch that was applied, or refused because its origin has given it up. Both stay as they are.
func (f *fsm) given(b *wire.Batch) (a wire.Answer, known bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.origins.byID[b.Origin] == nil {
		return wire.Answer{}, false // its registration may be on its way
	}
	return f.origins.find(b)
}

// knows reports whether an origin is registered.
func (f *fsm) knows(origin uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.origins.byID[origin] != nil
}

// Snapshot freezes the state. It does not write anything yet.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	s, _, err := f.freeze()
	if err != nil {
		return nil, err
	}
	f.bytes.Store(0)
	f.entries.Store(0)
	return s, nil
}

// Restore replaces the whole state. Waiters whose index the snapshot covers are released.
func (f *fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	index, err := f.restore(rc)
	switch {
	case errors.Is(err, fault.ErrVersion), errors.Is(err, wire.ErrMachine):
		f.conf.halt(err)
		return err
	case err != nil:
		return err
	}
	f.conf.advanced(index)
	f.conf.restored()
	return nil
}

func (f *fsm) restore(src io.Reader) (index uint64, err error) {
	f.work.Lock()
	defer f.work.Unlock()
	defer recovered(&err)
	r := newSnapshotReader(src)
	h, err := r.header()
	if err == nil && h.level > uint64(f.conf.maxLevel) {
		err = errTooOld(h.level, f.conf.maxLevel)
	}
	if err != nil {
		return 0, err
	}
	f.change(func() { f.torn = true })
	for range h.machines {
		if err := f.restoreNext(r); err != nil {
			return 0, err
		}
	}
	if err := r.end(); err != nil {
		return 0, err
	}
	f.change(func() { f.becomeLocked(h) })
	f.bytes.Store(0)
	f.entries.Store(0)
	return h.index, nil
}

// becomeLocked takes over what a snapshot says of the farm; its machines are restored.
func (f *fsm) becomeLocked(h snapshotHeader) {
	f.torn = false
	f.index, f.stamp, f.servers, f.origins, f.expect = h.index, h.stamp, h.servers, h.origins, h.expect
	f.formed.Store(h.formed)
	f.second.Store(h.second)
	f.level.Store(uint32(h.level))
	if f.chain = (chain{}); h.level >= wire.LevelSafety {
		f.chain.begin(h.index, h.chain)
	}
}

func (f *fsm) restoreNext(r *snapshotReader) error {
	name, body, err := r.next()
	if err != nil {
		return err
	}
	m := f.machines[name]
	if m == nil {
		return fmt.Errorf("%w: a snapshot has a state machine called %q", fault.ErrVersion, name)
	}
	if err := m.Restore(body); err != nil {
		return fmt.Errorf("snapshot of %q: %w", name, err)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

// askMachine makes an error of a panic: it says nothing about the state, so the node goes on.
func askMachine(m machine, q []byte) (answer []byte, err error) {
	defer recovered(&err)
	return m.Query(q), nil
}
