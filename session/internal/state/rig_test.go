package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// epoch is when the log of every test begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type command interface{ Append(dst []byte) []byte }

// rig drives one machine as a log would.
type rig struct {
	testing.TB
	*Machine
	index uint64
	now   time.Time
}

func newRig(tb testing.TB) *rig { return &rig{TB: tb, Machine: New(), now: epoch} }

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

func (r *rig) apply(c command) Result {
	r.Helper()
	r.index++
	answer, err := DecodeResult(r.Apply(r.index, r.now, c.Append(nil)))
	if err != nil {
		r.Fatal(err)
	}
	return answer
}

// want applies c and compares the answer.
func (r *rig) want(want Result, c command) {
	r.Helper()
	if got := r.apply(c); !same(got, want) {
		r.Errorf("%T at %d: got %+v, want %+v", c, r.index, got, want)
	}
}

func same(a, b Result) bool {
	return bytes.Equal(a.Value, b.Value) && a.Status == b.Status && a.Found == b.Found && a.More == b.More &&
		a.Count == b.Count && a.Version == b.Version
}

// holds compares the values of a session with "name=value name=value".
func (r *rig) holds(key Key, want string) Record {
	r.Helper()
	rec, ok := r.Get(key)
	if !ok {
		r.Fatalf("no session, want %q", want)
	}
	if got := show(rec); got != want {
		r.Errorf("session holds %q, want %q", got, want)
	}
	return rec
}

func show(rec Record) string {
	var parts []string
	for name := range rec.Names() {
		value, _, _ := rec.Value(name)
		parts = append(parts, name+"="+string(value))
	}
	return strings.Join(parts, " ")
}

func (r *rig) gone(key Key) {
	r.Helper()
	if rec, ok := r.Get(key); ok {
		r.Errorf("there still is %v", rec)
	}
}

func snapshot(tb testing.TB, m *Machine) []byte {
	tb.Helper()
	var b bytes.Buffer
	n, err := m.Snapshot().WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		tb.Fatalf("WriteTo: %d bytes reported, %d written, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func restored(tb testing.TB, snap []byte) *Machine {
	tb.Helper()
	m := New()
	if err := m.Restore(bytes.NewReader(snap)); err != nil {
		tb.Fatal(err)
	}
	return m
}

// keyOf spreads sessions over the shards as real keys are.
func keyOf(n int) (k Key) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	copy(k[:], sum[:])
	return k
}

func entries(pairs ...string) (out []Entry) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, Entry{pairs[i], []byte(pairs[i+1])})
	}
	return out
}

// create is a session of 30 minutes' idle and 12 hours' absolute time.
func create(key Key, pairs ...string) Create {
	return Create{Key: key, Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Values: entries(pairs...)}
}

// check verifies what must hold in any table: what is counted is there, and everything is in the list of its minute.
func (t *table) check(tb testing.TB) {
	tb.Helper()
	live, minutes := 0, make(map[int64]int)
	for i := range t.shards {
		sh := &t.shards[i]
		inShard := 0
		for minute, slot := range sh.due {
			for prev := uint32(noSlot); slot != noSlot; prev, slot = slot, sh.links[slot].next {
				s := sh.at(slot)
				if at, ok := sh.slot(s.key); !ok || at != slot || s.minute() != minute || sh.links[slot].prev != prev {
					tb.Fatalf("shard %d: slot %d is misplaced in minute %d", i, slot, minute)
				}
				minutes[minute]++
				inShard++
			}
		}
		indexed := 0
		for key, n := range sh.index {
			if n&inGrave == 0 {
				indexed++
			} else if g := sh.graves.get(n &^ inGrave); g.key != key {
				tb.Fatalf("shard %d: the index of %x leads to the grave of %x", i, key, g.key)
			}
		}
		if inShard != sh.used || inShard != indexed {
			tb.Fatalf("shard %d: %d sessions chained, %d used, %d indexed", i, inShard, sh.used, indexed)
		}
		live += inShard
	}
	maps.DeleteFunc(t.calendar.count, func(_ int64, n int) bool { return n == 0 })
	t.calendar.order = slices.Sorted(maps.Keys(t.calendar.count))
	if live != int(t.live.Load()) || !maps.Equal(minutes, t.calendar.count) {
		tb.Fatalf("%d sessions, %d counted; minutes %v, counted %v", live, t.live.Load(), minutes, t.calendar.count)
	}
}
