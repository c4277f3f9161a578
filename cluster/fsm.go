package cluster

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// fsm is what one Raft instance applies its log to: the state machines, made anew for each instance because a second
// instance over the same machines would apply everything twice; the exactly-once table; and the log's time.
//
// Apply, ApplyBatch, Snapshot and Restore run on one goroutine of raft. mu guards the fields below it against readers.
type fsm struct {
	machines map[string]StateMachine
	names    []string                // of machines, sorted
	restored func()                  // told after each restored snapshot
	applied  func()                  // told before each batch
	advanced func(index uint64)      // told after each batch and each restored snapshot
	marked   func(uint64, *snapshot) // told at each mark, with the state as it is there
	halt     func(error)             // told once when the log has something that must not be skipped
	halted   atomic.Bool
	bytes    atomic.Int64 // applied since the last snapshot
	entries  atomic.Int64

	formed atomic.Bool // users may write; never taken back
	second atomic.Bool // the farm has had a second member; never taken back

	maxLevel byte           // the highest protocol level that this program speaks
	level    atomic.Uint32  // in force; never taken back
	since    map[string]int // by machine: the level from which on it has a part in the state

	restoring sync.Mutex // held by Restore; freeze, which comes from outside, waits for it

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

func newFSM(factories map[string]func() StateMachine, advanced func(uint64), halt func(error)) *fsm {
	f := &fsm{machines: map[string]StateMachine{}, advanced: advanced, restored: func() {}, applied: func() {}, halt: halt,
		marked:  func(uint64, *snapshot) {},
		origins: newOrigins(), maxLevel: protocolMax}
	for name, make := range factories {
		f.machines[name] = make()
	}
	f.names = sortedKeys(f.machines)
	return f
}

var _ raft.BatchingFSM = (*fsm)(nil)

var (
	errStopped = errors.New("this copy of the state has stopped")
	errTorn    = errors.New("a snapshot was restored in part, and the log goes on")
)

// Apply is there for the interface; raft calls ApplyBatch.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies committed entries. What it returns for an entry of commands is a []answer, one for each batch.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	f.applied()
	out := make([]any, len(logs))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, l := range logs {
		if f.halted.Load() {
			continue // nothing is applied, nothing counts as applied, no snapshot is taken
		}
		if f.torn {
			f.haltLocked(l.Index, errTorn)
			continue
		}
		f.bytes.Add(int64(len(l.Data)))
		f.entries.Add(1)
		out[i] = f.applyLocked(l)
	}
	f.advanced(f.index)
	return out
}

func (f *fsm) applyLocked(l *raft.Log) (answers []answer) {
	defer func() {
		if p := recover(); p != nil {
			f.haltLocked(l.Index, fmt.Errorf("%w: a state machine gave up: %v", ErrVersion, p))
		}
	}()
	if l.Type == raft.LogConfiguration {
		f.configureLocked(raft.DecodeConfiguration(l.Data))
		f.appliedLocked(l, nil)
		return nil
	}
	answers, err := f.entryLocked(l)
	if err != nil {
		f.haltLocked(l.Index, err)
		return nil
	}
	f.appliedLocked(l, answers)
	return answers
}

// appliedLocked notes an entry that was applied.
func (f *fsm) appliedLocked(l *raft.Log, answers []answer) {
	f.index = l.Index
	if f.levelInForce() >= levelSafety {
		f.chain.add(l, answers)
	}
	if f.lastMark == l.Index {
		f.marked(l.Index, f.frozenLocked())
	}
}

// pointAt returns what the hash of this copy was at the newest entry that is not beyond index; none if that is not known.
func (f *fsm) pointAt(index uint64) point {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.chain.at(index)
}

// haltLocked stops this copy of the state for good: an entry that is not understood is never skipped.
func (f *fsm) haltLocked(index uint64, err error) {
	f.halted.Store(true)
	f.advanced(f.index) // as far as it came
	f.halt(fmt.Errorf("log entry %d: %w", index, err))
}

func (f *fsm) configureLocked(c raft.Configuration) {
	f.servers = f.servers[:0]
	for _, s := range c.Servers {
		f.servers = append(f.servers, string(s.ID))
	}
	slices.Sort(f.servers)
	if len(f.servers) > 1 {
		f.second.Store(true)
	}
	f.origins.retain(f.servers)
}

func (f *fsm) entryLocked(l *raft.Log) ([]answer, error) {
	r := wireReader{b: l.Data}
	format, kind := r.byte(), r.byte()
	if format != entryFormat {
		return nil, fmt.Errorf("%w: entry format %d", ErrVersion, format)
	}
	f.stamp = max(f.stamp, r.uvarint())
	switch kind {
	case entryOpen:
		return nil, endOf(&r)
	case entryFound:
		f.expect = r.uvarint()
		f.formed.Store(f.formed.Load() || f.expect <= 1)
		return nil, endOf(&r)
	case entryFormed:
		f.formed.Store(true)
		return nil, endOf(&r)
	case entryLevel:
		return nil, f.levelLocked(&r)
	case entryMark:
		if err := endOf(&r); err != nil {
			return nil, err
		}
		f.lastMark = l.Index
		return nil, nil
	case entryRegister:
		g := readRegistration(&r)
		if err := endOf(&r); err != nil {
			return nil, err
		}
		return []answer{{code: f.registerLocked(g), index: l.Index}}, nil
	case entryCommands:
		return f.commandsLocked(l.Index, &r)
	}
	return nil, fmt.Errorf("%w: entry kind %d", ErrVersion, kind)
}

func endOf(r *wireReader) error {
	if !r.done() {
		return errMalformed
	}
	return nil
}

func (f *fsm) registerLocked(g registration) code {
	if !slices.Contains(f.servers, g.server) {
		return codeUnregistered
	}
	return f.origins.register(g, f.levelInForce() >= levelSafety)
}

// commandsLocked applies the batches of an entry, after a look at all of them: an entry is applied as a whole or not.
func (f *fsm) commandsLocked(index uint64, r *wireReader) ([]answer, error) {
	batches, err := f.readBatches(r)
	if err != nil {
		return nil, err
	}
	now := time.UnixMilli(int64(f.stamp)).UTC()
	answers := make([]answer, len(batches))
	for i := range batches {
		a, known := f.origins.find(&batches[i])
		if !known {
			a = f.batchLocked(index, now, &batches[i])
			f.origins.keep(&batches[i], a)
		}
		answers[i] = a
	}
	return answers, nil
}

func (f *fsm) readBatches(r *wireReader) (out []batch, err error) {
	for len(r.b) > 0 {
		b := readBatch(r)
		if r.bad {
			break
		}
		if err := b.each(func(name, _ []byte) {
			if f.machines[string(name)] == nil {
				err = fmt.Errorf("%w: a state machine called %q", ErrVersion, name)
			}
		}); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, errors.Join(err, endOf(r))
}

func (f *fsm) batchLocked(index uint64, now time.Time, b *batch) answer {
	a := answer{index: index, value: make([][]byte, 0, b.count)}
	b.each(func(name, cmd []byte) {
		a.value = append(a.value, slices.Clone(f.machines[string(name)].Apply(index, now, cmd))) // the table's own
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
func (f *fsm) setBack(g registration) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.origins.setBack(g)
}

// knows reports whether an origin is registered.
func (f *fsm) knows(origin uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.origins.byID[origin] != nil
}

// Snapshot freezes the state. It does not write anything yet.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.halted.Load() || f.torn {
		return nil, errStopped
	}
	f.bytes.Store(0)
	f.entries.Store(0)
	return f.frozenLocked(), nil
}

// Restore replaces the whole state. Waiters whose index the snapshot covers are released.
func (f *fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	f.restoring.Lock()
	defer f.restoring.Unlock()
	r := newSnapshotReader(rc)
	h, err := r.header()
	if err == nil && h.level > uint64(f.maxLevel) {
		err = errTooOld(h.level, f.maxLevel)
	}
	if err != nil {
		if errors.Is(err, ErrVersion) {
			f.halt(err)
		}
		return err
	}
	f.setTorn()
	for range h.machines {
		if err := f.restoreNext(r); err != nil {
			return err
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.torn = false
	f.index, f.stamp, f.servers, f.origins, f.expect = h.index, h.stamp, h.servers, h.origins, h.expect
	f.formed.Store(h.formed)
	f.second.Store(h.second)
	f.level.Store(uint32(h.level))
	if f.chain = (chain{}); h.level >= levelSafety {
		f.chain.begin(h.index, h.chain)
	}
	f.bytes.Store(0)
	f.entries.Store(0)
	f.advanced(f.index)
	f.restored()
	return nil
}

func (f *fsm) setTorn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.torn = true
}

func (f *fsm) restoreNext(r *snapshotReader) error {
	name, body, err := r.next()
	if err != nil {
		return err
	}
	m := f.machines[name]
	if m == nil {
		err := fmt.Errorf("%w: a snapshot has a state machine called %q", ErrVersion, name)
		f.halt(err)
		return err
	}
	if err := m.Restore(body); err != nil {
		return fmt.Errorf("snapshot of %q: %w", name, err)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}
