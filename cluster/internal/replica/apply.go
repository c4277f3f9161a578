package replica

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

var _ raft.BatchingFSM = (*State)(nil)

// ErrStopped says that a copy of the state applies nothing any more, and cannot be frozen.
var ErrStopped = errors.New("this copy of the state has stopped")

// Apply is there for the interface; raft calls ApplyBatch.
func (st *State) Apply(l *raft.Log) any { return st.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies committed entries. What it returns for an entry of commands is a []wire.Answer, one for
// each batch.
func (st *State) ApplyBatch(logs []*raft.Log) []any {
	st.conf.Applied()
	out := make([]any, len(logs))
	index, mark, fault := st.applyAll(logs, out)
	st.conf.Advanced(index)
	if mark != nil {
		st.conf.Marked(mark.Index, mark.State)
	}
	if fault != nil {
		st.conf.Halt(fault)
	}
	return out
}

// applyAll applies entries until there is one that must not be skipped, and says then why this copy of the
// state has stopped for good: nothing is applied, nothing counts as applied, no snapshot is taken.
func (st *State) applyAll(logs []*raft.Log, out []any) (index uint64, mark *Marked, fault error) {
	st.work.Lock()
	defer st.work.Unlock()
	st.markedAt = nil
	for i, l := range logs {
		if st.halted.Load() {
			break
		}
		answers, err := st.applyLocked(l)
		if err != nil {
			st.halted.Store(true)
			fault = fmt.Errorf("log entry %d: %w", l.Index, err)
			break
		}
		st.bytes.Add(int64(len(l.Data)))
		st.entries.Add(1)
		out[i] = answers
	}
	return st.index, st.markedAt, fault
}

func (st *State) applyLocked(l *raft.Log) (answers []wire.Answer, err error) {
	defer recovered(&err)
	switch {
	case l.Type == raft.LogConfiguration:
		c := raft.DecodeConfiguration(l.Data)
		st.configureLocked(c)
		st.configuration, st.configuredAt = c, l.Index
	default:
		if answers, err = st.entryLocked(l); err != nil {
			return nil, err
		}
	}
	st.appliedLocked(l, answers)
	return answers, nil
}

// appliedLocked notes an entry that was applied.
func (st *State) appliedLocked(l *raft.Log, answers []wire.Answer) {
	st.change(func() {
		st.index = l.Index
		if st.Level() >= wire.LevelSafety {
			st.chain.add(l, answers)
		}
	})
	if st.lastMark == l.Index {
		st.markedAt = &Marked{l.Index, st.frozenLocked()}
	}
}

func (st *State) configureLocked(c raft.Configuration) {
	var servers []string
	for _, s := range c.Servers {
		servers = append(servers, string(s.ID))
	}
	slices.Sort(servers)
	if len(servers) > 1 {
		st.second.Store(true)
	}
	st.change(func() {
		st.servers = servers
		st.origins.retain(servers)
	})
}

func (st *State) entryLocked(l *raft.Log) ([]wire.Answer, error) {
	r := wire.NewReader(l.Data)
	format, kind := r.Byte(), r.Byte()
	if format != wire.EntryFormat {
		return nil, fmt.Errorf("%w: entry format %d", fault.ErrVersion, format)
	}
	stamp := r.Uvarint()
	st.change(func() { st.stamp = max(st.stamp, stamp) })
	switch kind {
	case wire.EntryOpen:
		return nil, r.End()
	case wire.EntryFound:
		expect := r.Uvarint()
		st.change(func() { st.expect = expect })
		st.formed.Store(st.formed.Load() || st.expect <= 1)
		return nil, r.End()
	case wire.EntryFormed:
		st.formed.Store(true)
		return nil, r.End()
	case wire.EntryLevel:
		return nil, st.levelLocked(r)
	case wire.EntryMark:
		if err := r.End(); err != nil {
			return nil, err
		}
		st.change(func() { st.lastMark = l.Index })
		return nil, nil
	case wire.EntryRegister:
		g := wire.ReadRegistration(r)
		if err := r.End(); err != nil {
			return nil, err
		}
		return []wire.Answer{{Code: st.registerLocked(g), Index: l.Index}}, nil
	case wire.EntryCommands:
		return st.commandsLocked(l.Index, r)
	}
	return nil, fmt.Errorf("%w: entry kind %d", fault.ErrVersion, kind)
}

func (st *State) registerLocked(g wire.Registration) (c wire.Code) {
	if !slices.Contains(st.servers, g.Server) {
		return wire.CodeUnregistered
	}
	st.change(func() { c = st.origins.register(g, st.Level() >= wire.LevelSafety) })
	return c
}

// commandsLocked applies the batches of an entry, after a look at all of them: an entry is applied as a whole
// or not.
func (st *State) commandsLocked(index uint64, r *wire.Reader) ([]wire.Answer, error) {
	batches, err := st.readBatches(r)
	if err != nil {
		return nil, err
	}
	now := time.UnixMilli(int64(st.stamp)).UTC()
	answers := make([]wire.Answer, len(batches))
	for i := range batches {
		a, known := st.origins.find(&batches[i])
		if !known {
			a = st.batchLocked(index, now, &batches[i])
			st.change(func() { st.origins.keep(&batches[i], a) })
		}
		answers[i] = a
	}
	return answers, nil
}

func (st *State) readBatches(r *wire.Reader) (out []wire.Batch, err error) {
	for r.More() {
		b := wire.ReadBatch(r)
		if r.Failed() {
			break
		}
		if err := b.Each(func(name, _ []byte) {
			if st.Machine(string(name)) == nil {
				err = fmt.Errorf("%w: a state machine called %q", fault.ErrVersion, name)
			}
		}); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, errors.Join(err, r.End())
}

func (st *State) batchLocked(index uint64, now time.Time, b *wire.Batch) wire.Answer {
	a := wire.Answer{Index: index, Value: make([][]byte, 0, b.Count)}
	b.Each(func(name, cmd []byte) {
		// the table's own
		a.Value = append(a.Value, slices.Clone(st.Machine(string(name)).Apply(index, now, cmd)))
	})
	return a
}
