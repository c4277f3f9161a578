package state

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Equal states are equal bytes, however they came about, and stay what they were when they were taken.
func TestSnapshotOfEqualStates(t *testing.T) {
	a, b := newRig(t), newRig(t)
	owners := []string{"n1#1", "n2#1", "n3#1", "\xff#1"}
	for i := range owners {
		a.all(Register{owners[i], ""})
		b.all(Register{owners[len(owners)-1-i], ""})
	}
	a.index = 1000
	a.all(Register{"gone", ""}, Acquire{"gone", 1, "lock/gone", 0, true}, Offer{"gone", "gone", hourly}, Withdraw{"gone", "gone"},
		Forget{"gone", false}, End{"gone"})
	b.all(Acquire{"n1#1", 7, "lock/gone", 0, true}, Release{"n1#1", 7, false})
	// From here on both have the same fence. Locks are asked for in another order, by other tickets before.
	for i, name := range []string{"lock/x", "lock/y", "singleton/\xff", "once/m"} {
		for _, r := range []*rig{a, b} {
			r.index = uint64(2000 + 10*i)
			for _, owner := range owners {
				r.all(Acquire{owner, uint64(10 + i), name, 0, true})
			}
			r.all(Offer{owners[i], "job", minutely})
		}
		b.all(Acquire{"n2#1", 99, name, 0, true}, Release{"n2#1", 99, false})
	}
	snap := snapshotOf(t, a.Machine)
	if !bytes.Equal(snap, snapshotOf(t, b.Machine)) {
		t.Errorf("%q\n%q", snap, snapshotOf(t, b.Machine))
	}
	frozen := a.Snapshot()
	a.all(End{"n1#1"}, End{"n3#1"}, Register{"late", ""}, Pause{"job", true})
	for range 2 {
		var was bytes.Buffer
		if _, err := frozen.WriteTo(&was); err != nil || !bytes.Equal(was.Bytes(), snap) {
			t.Error("a snapshot changed after it was taken", err)
		}
	}
}

// A machine that was restored at any point of the log goes on as the one that was not.
func TestSnapshotOfEachPrefix(t *testing.T) {
	m := newModel(t, 1)
	type entry struct {
		now int64
		cmd []byte
	}
	var entries []entry
	for range 400 {
		if m.rnd.IntN(3) == 0 {
			m.now = m.now.Add(1e10)
		}
		c := m.any()
		m.expect(c)
		m.do(c)
		entries = append(entries, entry{m.now.UnixMilli(), c.Append(nil)})
	}
	want := snapshotOf(t, m.Machine)
	prefix := newRig(t)
	for i, e := range entries {
		rest := restored(t, snapshotOf(t, prefix.Machine))
		for k := i; k < len(entries); k++ {
			rest.Apply(uint64(k+1), time.UnixMilli(entries[k].now), entries[k].cmd)
		}
		if !bytes.Equal(snapshotOf(t, rest), want) {
			t.Fatalf("restored after %d commands, it is another one", i)
		}
		prefix.Apply(uint64(i+1), time.UnixMilli(e.now), e.cmd)
	}
}

// What is torn is refused, whatever else may be behind it, and changes nothing.
func TestRestoreOfDamage(t *testing.T) {
	r := full(t)
	snap := snapshotOf(t, r.Machine)
	for n := range snap {
		if err := r.Restore(bytes.NewReader(snap[:n])); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
		for bit := range 8 { // a flipped bit need not show: package cluster has checksums
			bad := bytes.Clone(snap)
			bad[n] ^= 1 << bit
			if m := New(nil); m.Restore(bytes.NewReader(bad)) == nil && !bytes.Equal(snapshotOf(t, m), bad) {
				t.Errorf("bit %d of byte %d flipped: it is taken for something else", bit, n)
			}
		}
	}
	for name, bad := range map[string][]byte{"longer": append(bytes.Clone(snap), 0), "nothing": {}, "a newer format": {format + 1}} {
		if err := r.Restore(bytes.NewReader(bad)); err == nil || name == "a newer format" && !errors.Is(err, fault.ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	torn := errors.New("the disk is gone")
	if err := r.Restore(iotest.ErrReader(torn)); !errors.Is(err, torn) {
		t.Error(err)
	}
	if !bytes.Equal(snapshotOf(t, r.Machine), snap) {
		t.Error("a refused snapshot changed the state")
	}
	if err := r.Restore(iotest.OneByteReader(bytes.NewReader(snap))); err != nil || r.events[len(r.events)-1] != (Event{}) {
		t.Errorf("%v; told of %v", err, r.events)
	}
}

// What no commands can have made is refused, even if it is whole.
func TestRestoreOfNonsense(t *testing.T) {
	for name, spoil := range map[string]func(t *tables){
		"a lock of nobody":           func(t *tables) { t.locks["lock/x"].holder.owner = "x" },
		"a ticket of nobody":         func(t *tables) { t.locks["lock/x"].queue[0].owner = "x" },
		"one ticket for two locks":   func(t *tables) { t.locks["lock/x"].queue[0] = t.locks["singleton/\xfe\x00/"].holder },
		"a fence to come":            func(t *tables) { t.locks["lock/x"].fence = t.fence + 1 },
		"no fences any more":         func(t *tables) { t.fence = maxFence + 1 },
		"a lock of what is done":     func(t *tables) { t.done["lock/x"] = Done{} },
		"a migration to come":        func(t *tables) { t.done["once/v1"] = Done{Fence: t.fence + 1} },
		"an offer of nobody":         func(t *tables) { t.jobs["j"].offers["x"] = offer{spec: minutely} },
		"what nobody offers":         func(t *tables) { t.jobs["j"].spec.Zone = "Mars" },
		"a run of nobody":            func(t *tables) { t.jobs["j"].runs[0].Owner = "x" },
		"a run to come":              func(t *tables) { t.jobs["j"].runs[0].Fence = t.fence + 1 },
		"two runs that are one":      func(t *tables) { j := t.jobs["j"]; j.runs = append(j.runs, j.runs[0]) },
		"an outcome that is none":    func(t *tables) { t.jobs["j"].results[0].Outcome = outcomes },
		"a policy that is none":      func(t *tables) { t.jobs["j"].spec.Overlap = overlaps },
		"another that is none":       func(t *tables) { t.jobs["j"].spec.Missed = misseds },
		"an owner without a name":    func(t *tables) { t.owners[""] = &owner{} },
		"a name that is too long":    func(t *tables) { t.owners[strings.Repeat("x", MaxName+1)] = &owner{} },
		"a time beyond all":          func(t *tables) { t.now = maxMillis + 1 },
		"too many results":           func(t *tables) { t.jobs["j"].results = eleven(t.jobs["j"].results[0]) },
		"too many that wait":         func(t *tables) { t.jobs["j"].backlog = make([]pending, MaxBacklog+1) },
		"too many tickets of one":    func(t *tables) { t.tickets("a#1", MaxTickets) },
		"too many tickets of a lock": func(t *tables) { t.locks["lock/x"].queue = make([]ticket, MaxQueue+1) },
	} {
		tables := full(t).tables
		spoil(&tables)
		var b bytes.Buffer
		tables.freeze().WriteTo(&b)
		if err := New(nil).Restore(&b); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func eleven(r Result) []Result { return slices.Repeat([]Result{r}, MaxResults+1) }

// tickets gives an owner some more.
func (t *tables) tickets(owner string, n int) {
	l := t.locks["lock/x"]
	for i := range n {
		l.queue = append(l.queue, ticket{owner, uint64(1000 + i), 0})
	}
}

var update = flag.Bool("update", false, "rewrite testdata/snapshot.bin")

// Snapshots outlive the program that wrote them.
func TestSnapshotStaysReadable(t *testing.T) {
	const file = "testdata/snapshot.bin"
	snap := snapshotOf(t, full(t).Machine)
	if *update {
		if err := os.WriteFile(file, snap, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snap, old) || !bytes.Equal(snapshotOf(t, restored(t, old)), old) {
		t.Errorf("what an earlier version wrote is not what it was:\n%q\n%q", old, snap)
	}
}
