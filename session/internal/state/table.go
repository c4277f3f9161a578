package state

import (
	"sync/atomic"
	"time"
)

// table is the whole replicated state and what is derived from it. Restore makes a new one.
type table struct {
	applied    atomic.Uint64
	now        atomic.Int64 // ms of log time
	ticked     atomic.Int64 // ms of log time; 0 = never
	live       atomic.Int64 // sessions
	tombstones atomic.Int64 // graves not swept away yet
	bytes      atomic.Int64 // what sessions and recent graves cost, see cost.go
	limits     atomic.Pointer[Limits]

	limitsVersion atomic.Uint64 // 0 = they were never changed by a ChangeLimits
	shards        [256]shard

	// Only Apply's goroutine looks at these.
	version  uint64 // last one given to a value
	epoch    uint64 // one more with every snapshot
	calendar calendar
	changes  []change // scratch space
	merged   blob     // scratch space
	dead     []due    // scratch space
	ended    []Key    // by the command under way
	endings  endings
}

func newTable() *table {
	t := &table{calendar: newCalendar()}
	limits := DefaultLimits()
	t.limits.Store(&limits)
	for i := range t.shards {
		t.shards[i].init()
	}
	return t
}

func (t *table) shard(key Key) *shard { return &t.shards[key[0]] }

// get returns a session, past its deadline or not. It is for any goroutine.
func (t *table) get(key Key) (session, bool) {
	sh := t.shard(key)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	slot, ok := sh.slot(key)
	if !ok {
		return session{}, false
	}
	return *sh.at(slot), true
}

// holds is for any goroutine.
func (t *table) holds(key Key) bool {
	sh := t.shard(key)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, ok := sh.slot(key)
	return ok
}

// buried is for any goroutine.
func (t *table) buried(key Key, now int64) bool {
	sh := t.shard(key)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.buriedLocked(key, now)
}

// advance moves the log's time, never back.
func (t *table) advance(now time.Time) {
	if ms := min(now.UnixMilli(), maxMillis); ms > t.now.Load() {
		t.now.Store(ms)
		t.bytes.Add(-graveCost * t.endings.advance(ms))
	}
}

// nextVersion returns a version no value has had yet: the index, unless several commands come at one index. Whoever
// gives it to a value sets t.version to it.
func (t *table) nextVersion(index uint64) uint64 { return max(t.version+1, index) }

// ref is a session that Apply's goroutine is about to change. It is a copy until store.
type ref struct {
	session
	slot uint32
}

// open returns a session that exists and is not past its deadline by the log's time.
func (t *table) open(key Key) (r ref, ok bool) {
	sh := t.shard(key)
	if r.slot, ok = sh.slot(key); !ok {
		return ref{}, false
	}
	r.session = *sh.at(r.slot)
	return r, r.deadline() > t.now.Load()
}

// use records a use of the session.
func (t *table) use(r *ref) { r.seen = max(r.seen, t.now.Load()) }

// store puts a changed session back.
func (t *table) store(r ref) {
	sh := t.shard(r.key)
	before, after := sh.at(r.slot).minute(), r.minute()
	t.bytes.Add(Cost(len(r.values)) - Cost(len(sh.at(r.slot).values)))
	sh.mu.Lock()
	*sh.editLocked(r.slot, t.epoch) = r.session
	sh.mu.Unlock()
	if before == after {
		return
	}
	sh.unlink(r.slot, before)
	t.calendar.remove(before)
	sh.link(r.slot, after)
	t.calendar.add(after)
}

func (t *table) insert(s session) {
	sh := t.shard(s.key)
	sh.mu.Lock()
	slot := sh.insertLocked(s, t.epoch)
	sh.mu.Unlock()
	sh.link(slot, s.minute())
	t.calendar.add(s.minute())
	t.live.Add(1)
	t.bytes.Add(Cost(len(s.values)))
}

// end takes a session away and leaves a grave.
func (t *table) end(sh *shard, slot uint32) {
	key, minute := sh.at(slot).key, sh.at(slot).minute()
	t.bytes.Add(-Cost(len(sh.at(slot).values)) + graveCost*t.endings.add(t.now.Load()))
	sh.unlink(slot, minute)
	t.calendar.remove(minute)
	sh.mu.Lock()
	sh.removeLocked(slot, t.epoch)
	sh.buryLocked(key, t.now.Load())
	sh.mu.Unlock()
	t.live.Add(-1)
	t.tombstones.Add(1)
	t.ended = append(t.ended, key)
}
