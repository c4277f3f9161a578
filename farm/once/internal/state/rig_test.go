package state

import (
	"bytes"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at returns a moment after epoch in milliseconds.
func at(d time.Duration) int64 { return epoch.Add(d).UnixMilli() }

// rig drives a machine.
type rig struct {
	*Machine
	tb     testing.TB
	index  uint64
	now    time.Time
	events []Event
}

func newRig(tb testing.TB) *rig {
	r := &rig{tb: tb, now: epoch}
	r.Machine = New(func(e Event) { r.events = append(r.events, e) })
	return r
}

// do has a command carried out, and returns the answer.
func (r *rig) do(c Command) Answer {
	r.tb.Helper()
	r.index++
	r.events = r.events[:0]
	a, err := DecodeAnswer(r.Apply(r.index, r.now, c.Append(nil)))
	if err != nil {
		r.tb.Fatal(err)
	}
	return a
}

// all has commands carried out that are to be answered by OK, Granted, Queued or Differs.
func (r *rig) all(cmds ...Command) {
	r.tb.Helper()
	for _, c := range cmds {
		if a := r.do(c); a.Code != OK && a.Code != Granted && a.Code != Queued && a.Code != Differs {
			r.tb.Fatalf("%#v: %v", c, a.Code)
		}
	}
}

func snapshotOf(tb testing.TB, m *Machine) []byte {
	tb.Helper()
	var b bytes.Buffer
	if n, err := m.Snapshot().WriteTo(&b); err != nil || n != int64(b.Len()) {
		tb.Fatalf("%d bytes of %d, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func restored(tb testing.TB, snap []byte) *Machine {
	tb.Helper()
	m := New(nil)
	if err := m.Restore(bytes.NewReader(snap)); err != nil {
		tb.Fatal(err)
	}
	return m
}

var (
	minutely = Spec{Schedule: "* * * * *", Zone: "UTC", Grace: 60_000, Overlap: OverlapQueue, Missed: MissedAll}
	hourly   = Spec{Schedule: "@hourly", Zone: "UTC", Grace: 60_000}
)

// full returns a machine that has something of everything.
func full(tb testing.TB) *rig {
	r := newRig(tb)
	r.all(Register{"a#1", "a"}, Register{"b#1", "b"}, Register{"c#1", "\xff\x00"}, Suspect{"b#1"}, Refute{"b#1"},
		Suspect{"c#1"},
		Acquire{"a#1", 1, "lock/x", 0, false}, Acquire{"b#1", 1, "lock/x", 1, true}, Acquire{"c#1", 7, "lock/x", 0, true},
		Acquire{"b#1", 2, "singleton/\xfe\x00/", 2, true},
		Acquire{"a#1", 2, "once/v1", 0, true}, Release{"a#1", 2, true},
		Offer{"a#1", "j", minutely}, Offer{"b#1", "j", minutely}, Offer{"c#1", "j", hourly},
		Plan{"a#1", "j", at(time.Minute)}, Offer{"c#1", "other", hourly}, Pause{"other", true})
	r.now = epoch.Add(3*time.Minute + time.Second)
	r.all(Claim{"b#1", "j", at(time.Minute), []int64{at(time.Minute), at(2 * time.Minute), at(3 * time.Minute)}, 2,
		at(4 * time.Minute)})
	run, _ := r.Job("j")
	r.all(Trigger{"j"}, Finish{"b#1", "j", run.Runs[0].Fence, Failed, "no paper"}, Start{"a#1", "j"})
	return r
}
