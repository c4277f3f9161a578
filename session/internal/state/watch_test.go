package state

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// vigil is a Watcher of a test, and how often it was told.
type vigil struct {
	*Watcher
	told atomic.Int32
}

func (r *rig) vigil(key Key, index uint64) *vigil {
	v := &vigil{}
	v.Watcher = NewWatcher(key, index, func() { v.told.Add(1) })
	r.Watch(v.Watcher)
	return v
}

func (v *vigil) want(tb testing.TB, what string, n int32) {
	tb.Helper()
	if got := v.told.Load(); got != n {
		tb.Errorf("%s: told %d times, want %d", what, got, n)
	}
}

// Whatever ends a session is told, once, to all that watch for it, and nothing else is.
func TestWatch(t *testing.T) {
	ends := []struct {
		name string
		end  func(r *rig, key Key)
	}{
		{"Destroy", func(r *rig, key Key) { r.apply(Destroy{key}) }},
		{"Renew", func(r *rig, key Key) { r.apply(Renew{Key: key, New: keyOf(100)}) }},
		{"Tick", func(r *rig, key Key) { r.pass(time.Hour); r.apply(Touch{[]Key{keyOf(2)}}); r.apply(Tick{}) }},
		{"Restore", func(r *rig, key Key) {
			other := newRig(r.TB)
			other.index = r.index
			other.apply(create(keyOf(2)))
			r.Restore(bytes.NewReader(snapshot(r.TB, other.Machine)))
		}},
	}
	for _, c := range ends {
		t.Run(c.name, func(t *testing.T) {
			r, key := newRig(t), keyOf(1)
			r.apply(create(key))
			r.apply(Create{Key: keyOf(2), Idle: 2 * time.Hour, Absolute: 12 * time.Hour})
			index := r.index
			a, b, other := r.vigil(key, index), r.vigil(key, index), r.vigil(keyOf(2), index)
			left := r.vigil(key, index)
			r.Unwatch(left.Watcher)
			r.Unwatch(left.Watcher) // again
			r.apply(Write{Key: key, Sets: entries("a", "1")})
			r.apply(Touch{[]Key{key}})
			r.apply(Destroy{keyOf(3)})
			r.apply(Tick{})
			a.want(t, "before the end", 0)
			c.end(r, key)
			a.want(t, "one", 1)
			b.want(t, "another", 1)
			left.want(t, "one that has left", 0)
			other.want(t, "another session's", 0)
			r.Unwatch(a.Watcher)
			r.Unwatch(other.Watcher)
			if n := len(r.watchers.first); n != 0 || r.watchers.n.Load() != 0 || r.watchers.unseen != 0 {
				t.Errorf("%d lists, %d watchers, %d unseen are left", n, r.watchers.n.Load(), r.watchers.unseen)
			}
		})
	}
}

// Who comes late is told at once, whether the machine remembers the end or not; who comes early waits.
func TestWatch_OfWhatIsNotThere(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	early := r.vigil(key, 2) // this copy is behind: others have seen the session at index 2
	r.apply(create(keyOf(2)))
	r.Recheck()
	r.apply(create(key))
	r.Recheck()
	early.want(t, "before the end", 0)
	r.apply(Destroy{key})
	early.want(t, "after the end", 1)
	r.vigil(key, 2).want(t, "late", 1)
	r.pass(2 * TombstoneTTL)
	r.apply(Tick{})
	r.vigil(key, 2).want(t, "very late", 1)

	lost := r.vigil(keyOf(3), r.index+1) // and one that this history never sees
	r.apply(Tick{})
	lost.want(t, "before a look", 0)
	r.Recheck()
	lost.want(t, "after a look", 1)
}

// A session that a Restore brings along is watched on, and one that it finds to have ended is told of.
func TestWatch_AcrossRestore(t *testing.T) {
	ahead, behind := newRig(t), newRig(t)
	for _, r := range []*rig{ahead, behind} {
		r.apply(create(keyOf(1)))
		r.apply(create(keyOf(2)))
	}
	stays, ends, comes := behind.vigil(keyOf(1), 1), behind.vigil(keyOf(2), 2), behind.vigil(keyOf(3), 3)
	ahead.apply(create(keyOf(3)))
	ahead.apply(Destroy{keyOf(2)})
	if err := behind.Restore(bytes.NewReader(snapshot(t, ahead.Machine))); err != nil {
		t.Fatal(err)
	}
	stays.want(t, "one that lives", 0)
	comes.want(t, "one that came", 0)
	ends.want(t, "one that has ended", 1)
	behind.index = ahead.index
	behind.apply(Destroy{keyOf(1)})
	behind.apply(Destroy{keyOf(3)})
	stays.want(t, "one that lived", 1)
	comes.want(t, "one that had come", 1)
}

// A watcher moves to another copy, which may be behind the first and goes over the log once more.
func TestWatch_MovesToAnotherMachine(t *testing.T) {
	old, next := newRig(t), newRig(t)
	old.apply(create(keyOf(1)))
	v := old.vigil(keyOf(1), 1)
	old.Unwatch(v.Watcher)
	next.Watch(v.Watcher)
	v.want(t, "before the copy has come to the index", 0)
	next.apply(create(keyOf(1)))
	old.apply(Destroy{keyOf(1)})
	v.want(t, "by the machine that was left", 0)
	next.apply(Destroy{keyOf(1)})
	v.want(t, "by the new one", 1)
}

// However watching and ending coincide, each watcher is told once, and none is forgotten.
func TestWatch_BesideApply(t *testing.T) {
	const n, each = 200, 4
	r := newRig(t)
	for i := range n {
		r.apply(create(keyOf(i)))
	}
	var all [each][]*vigil
	var wg sync.WaitGroup
	for worker := range each {
		wg.Go(func() {
			for i := range n {
				v := r.vigil(keyOf(i), n)
				if i%7 == worker {
					r.Unwatch(v.Watcher)
					continue
				}
				all[worker] = append(all[worker], v)
			}
		})
	}
	for i := range n {
		r.apply(Destroy{keyOf(i)})
	}
	wg.Wait()
	for _, v := range slices.Concat(all[:]...) {
		v.want(t, "each", 1)
	}
	if n := r.watchers.n.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
}
