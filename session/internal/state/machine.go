package state

import (
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// TombstoneTTL is how long an ended session is remembered as such, by the log's time.
const TombstoneTTL = 5 * time.Minute

// Machine holds all sessions. Apply, Snapshot and Restore are for one goroutine, one at a time; every other method, and
// the WriterTo that Snapshot returned, may run beside them and beside each other.
type Machine struct {
	table   atomic.Pointer[table]
	started time.Time    // origin of the monotonic readings in offset
	offset  atomic.Int64 // log time minus monotonic time since started, in ns, as of the last Apply; see Now

	watchers watchers
}

const (
	noOffset      = math.MinInt64
	centuryMillis = 100 * 365 * 24 * 60 * 60 * 1000
)

// New returns an empty machine.
func New() *Machine {
	m := &Machine{started: time.Now()}
	m.offset.Store(noOffset)
	m.table.Store(newTable())
	return m
}

// Apply carries out one command at a log index and the log's time there, and returns the answer for DecodeResult. It
// depends on nothing but the commands so far. A time before that of an earlier command counts as the earlier one, one
// before 1970 as 1970.
//
// It panics with a fault.UnknownCommandError, having changed nothing, when the command is none it knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if len(cmd) > 0 && !known(cmd[0]) {
		panic(fault.UnknownCommandError{Machine: "session state", Op: cmd[0], Index: index})
	}
	t := m.table.Load()
	t.advance(now)
	m.setClock(t.now.Load())
	r := t.apply(index, cmd)
	clear(t.changes) // they point into cmd, which is the caller's again
	t.applied.Store(index)
	m.watchers.tellEnded(t.ended)
	t.ended = t.ended[:0]
	return r.Append(make([]byte, 0, 2+2*10+len(r.Value)))
}

// Query answers a Fetch; the answer is for DecodeFetched. It answers a query it does not understand with nothing, which
// DecodeFetched refuses.
func (m *Machine) Query(q []byte) []byte {
	d := newDecoder(q)
	op, key := d.Byte(), d.key()
	if op != queryFetch || !d.Done() {
		return nil
	}
	f := Fetched{Applied: m.Applied(), Now: m.Now()}
	if f.Record, f.Found = m.Get(key); !f.Found {
		f.Ended = m.Ended(key)
	}
	return f.Append(nil)
}

// Get returns a session that exists and is not past its deadline at Now. Where there is none, see Ended.
func (m *Machine) Get(key Key) (Record, bool) {
	s, ok := m.table.Load().get(key)
	if !ok || s.deadline() <= m.nowMillis() {
		return Record{}, false
	}
	return s.record(), true
}

// Ended reports whether it is certain that a session of this key is over: it ended less than TombstoneTTL ago, or the time
// of a command carried out here was at or past its deadline. However old this copy is, true is final. A session that is
// past its deadline at Now alone has not Ended: a Touch may be on its way here. Nor has one of a key never seen, or long
// forgotten. In these cases both Get and Ended are false.
func (m *Machine) Ended(key Key) bool {
	t := m.table.Load()
	if s, ok := t.get(key); ok {
		return s.deadline() <= t.now.Load()
	}
	return t.buried(key, m.nowMillis())
}

// Holds reports whether a session of this key is held, be it past its deadline. Where Holds and Ended are both false, this
// copy knows nothing of such a session.
func (m *Machine) Holds(key Key) bool { return m.table.Load().holds(key) }

// Len returns the number of sessions held, those past their deadline but not yet collected by a Tick included.
func (m *Machine) Len() int { return int(m.table.Load().live.Load()) }

// Tombstones returns the number of ended sessions that are remembered, for TombstoneTTL and until the Tick after that.
func (m *Machine) Tombstones() int { return int(m.table.Load().tombstones.Load()) }

// Applied returns the index of the last command carried out.
func (m *Machine) Applied() uint64 { return m.table.Load().applied.Load() }

// LastTick returns the log time of the last Tick carried out; the zero Time if there was none.
func (m *Machine) LastTick() time.Time {
	if ms := m.table.Load().ticked.Load(); ms > 0 {
		return fromMillis(ms)
	}
	return time.Time{}
}

// Limits returns the limits in force.
func (m *Machine) Limits() Limits { return *m.table.Load().limits.Load() }

// LimitsVersion returns the version of the limits in force, for ChangeLimits; 0 if no ChangeLimits has set them.
func (m *Machine) LimitsVersion() uint64 { return m.table.Load().limitsVersion.Load() }

// Bytes returns what all sessions cost together, tombstones of the last five minutes included, as counted for Limits.Total.
func (m *Machine) Bytes() int64 { return m.table.Load().bytes.Load() }

// Now returns the log's time as far as this copy can tell: the time of the last command plus what has passed here since
// it was carried out. It is behind the leader's by the time which that command took to get here, so that a session
// looks alive rather too long than too short. It is the zero Time before the first command.
func (m *Machine) Now() time.Time {
	offset := m.offset.Load()
	if offset == noOffset {
		return time.Time{}
	}
	return time.Unix(0, offset+int64(time.Since(m.started))).UTC()
}

func (m *Machine) nowMillis() int64 {
	offset := m.offset.Load()
	if offset == noOffset {
		return 0
	}
	return (offset + int64(time.Since(m.started))) / int64(time.Millisecond)
}

func (m *Machine) setClock(now int64) {
	now = min(now, maxMillis-centuryMillis) // so that Now never overflows
	m.offset.Store(now*int64(time.Millisecond) - int64(time.Since(m.started)))
}

// Snapshot freezes the state as it is now, for the price of copying the tables of pages, and returns what writes it.
// Equal states are written as equal bytes, whatever the way they came about.
func (m *Machine) Snapshot() io.WriterTo { return m.table.Load().freeze() }

// Restore replaces the state by what a Snapshot wrote. It reads not a byte further than that. After an error the state
// is what it was. Who watches for a session that the new state lacks is told.
func (m *Machine) Restore(r io.Reader) error {
	t, err := readTable(r)
	if err != nil {
		return err
	}
	m.table.Store(t)
	m.setClock(t.now.Load())
	m.recheck(true)
	return nil
}
