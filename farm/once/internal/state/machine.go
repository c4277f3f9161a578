package state

import (
	"io"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Level is the protocol level that a farm must work at before there may be such a machine, and any command of
// it.
const Level = 4

// Machine is the replicated state. Apply, Snapshot and Restore are for one goroutine, one at a time; every
// other method, and the WriterTo that Snapshot returned, may run beside them.
type Machine struct {
	tell func(Event)

	mu     sync.RWMutex
	tables tables
	clock  clock
}

// tables are all that is replicated.
type tables struct {
	now    int64 // ms since 1970 of the log's time at the last command
	fence  uint64
	owners map[string]*owner
	locks  map[string]*lock
	done   map[string]Done
	jobs   map[string]*job
}

func newTables() tables {
	return tables{owners: map[string]*owner{}, locks: map[string]*lock{}, done: map[string]Done{},
		jobs: map[string]*job{}}
}

// Event says where the state has changed. It is a hint: what there is now is read from the machine. Its zero
// value means anything may have changed.
type Event struct {
	Owner  string // whose standing, or ticket, has changed
	Ticket uint64 // of Owner; 0 = its standing
	Job    string // whose times, backlog, runs or offers have changed
}

// New returns an empty machine. tell is called after each change, by the goroutine that calls Apply, which it
// must not hold up; nil: nobody is told.
func New(tell func(Event)) *Machine {
	if tell == nil {
		tell = func(Event) {}
	}
	return &Machine{tell: tell, tables: newTables()}
}

// Apply carries out one command at a log index and the log's time there, and returns the answer, for
// DecodeAnswer. It panics with a fault.UnknownCommandError, having changed nothing, when the command is none it
// knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	answer, events := m.apply(index, now, cmd)
	for _, e := range events {
		m.tell(e)
	}
	return answer.append(make([]byte, 0, maxAnswer))
}

func (m *Machine) apply(index uint64, now time.Time, cmd []byte) (Answer, []Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(cmd) == 0 {
		return Answer{Code: Malformed}, nil
	}
	read, known := commands[cmd[0]]
	if !known {
		panic(fault.UnknownCommandError{Machine: "once", Op: cmd[0], Index: index})
	}
	t := &m.tables
	t.now = max(t.now, now.UnixMilli(), 0)
	m.clock.set(t.now)
	d := newDecoder(cmd[1:])
	c := read(d)
	if !d.Done() {
		return Answer{Code: Malformed, Now: t.now}, nil
	}
	s := step{tables: t, index: index, micros: max(now.UnixMicro(), 0)}
	a := c.apply(&s)
	a.Now = t.now
	return a, s.events
}

// step is the carrying out of one command.
type step struct {
	*tables
	index  uint64
	micros int64 // of the log's time
	events []Event
}

func (s *step) tellOwner(id string) { s.events = append(s.events, Event{Owner: id}) }
func (s *step) tellTicket(owner string, n uint64) {
	s.events = append(s.events, Event{Owner: owner, Ticket: n})
}
func (s *step) tellJob(name string) { s.events = append(s.events, Event{Job: name}) }

// nextFence returns the fence of a grant: the log's time in microseconds, and more than every fence before.
// Unlike an index it goes on rising when a farm begins a new log, be it from an old backup or from nothing.
func (s *step) nextFence() uint64 {
	s.fence = max(s.fence+1, uint64(s.micros))
	return s.fence
}

// Query answers nothing: every node reads its own copy, behind a barrier where it matters.
func (m *Machine) Query([]byte) []byte { return nil }

// Snapshot returns the state as it is now. Equal states are written as equal bytes.
func (m *Machine) Snapshot() io.WriterTo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.tables.freeze()
}

// Restore replaces the state by what a Snapshot wrote. After an error the state is what it was.
func (m *Machine) Restore(r io.Reader) error {
	t, err := readTables(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.tables = t
	m.clock.set(t.now)
	m.mu.Unlock()
	m.tell(Event{})
	return nil
}

// Now returns the log's time as far as this copy can tell: that of the last command, plus what has passed
// here since it was carried out. It is the zero Time before the first one.
func (m *Machine) Now() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.clock.now()
}

// Heard returns how long ago the last command was carried out, by which Now goes.
func (m *Machine) Heard() time.Duration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return time.Since(m.clock.at)
}

// clock goes on from the log's time by this process's monotonic clock.
type clock struct {
	millis int64
	at     time.Time // when it was millis
}

func (c *clock) set(millis int64) { c.millis, c.at = millis, time.Now() }

func (c *clock) now() time.Time {
	if c.at.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(c.millis).Add(time.Since(c.at)).UTC()
}
