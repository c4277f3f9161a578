package session

import (
	"context"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// memory is a Store in this process alone: the replicated machine without a log.
type memory struct {
	machine *Machine
	start   time.Time // whose monotonic reading tells the time: the clock of the machine may be set, sessions shall not care

	mu    sync.Mutex // orders commands
	index uint64
	buf   []byte
}

// NewMemory returns a store that keeps sessions in this process: for one node, and for tests. They end with it.
func NewMemory() Store { return &memory{machine: state.New(), start: time.Now()} }

func (m *memory) Load(ctx context.Context, key StoreKey, f Freshness) (Record, bool, error) {
	rec, ok := m.machine.Get(key)
	return rec, ok, nil
}

func (m *memory) Do(ctx context.Context, cmd Command) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.index++
	m.buf = cmd.Append(m.buf[:0])
	return answerOf(m.index, m.machine.Apply(m.index, m.start.Add(time.Since(m.start)), m.buf))
}

// Spread has nothing to wait for: there is one copy.
func (m *memory) Spread(ctx context.Context, index uint64) error { return nil }

func (m *memory) Watch(key StoreKey, index uint64, ended func()) (stop func()) {
	w := state.NewWatcher(key, index, ended)
	m.machine.Watch(w)
	return func() { m.machine.Unwatch(w) }
}

func (m *memory) Status() Status { return statusOf(m.machine) }

// statusOf returns what a machine knows. Reads of a single copy are always the newest, hence no cluster.
func statusOf(m *Machine) Status {
	return Status{Index: m.Applied(), Now: m.Now(), LastTick: m.LastTick(), Sessions: m.Len(), Tombstones: m.Tombstones(),
		Limits: m.Limits(), LimitsVersion: m.LimitsVersion(), Bytes: m.Bytes(), Level: state.CommandsLevel}
}
