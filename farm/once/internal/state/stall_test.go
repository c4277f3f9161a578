package state

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// maxStall is how long nothing on the goroutine that applies may take, on a machine that grants maxStallGrants
// locks in that time. A slower one takes longer for everything.
const (
	maxStall       = 10 * time.Millisecond
	maxStallGrants = 7000
)

// crowd returns a machine with 100,000 locks, of ten owners, and 10,000 who wait for one of them.
func crowd(tb testing.TB) *rig {
	r := newRig(tb)
	for i := range MaxLocks / MaxTickets {
		id := fmt.Sprintf("o%d#1", i)
		r.all(Register{id, id})
		for n := range uint64(MaxTickets) {
			r.all(Acquire{id, n, fmt.Sprintf("lock/%d/%d", n, i), 0, true})
		}
	}
	r.all(Register{"w#1", "w"})
	for n := range uint64(MaxTickets) {
		r.all(Acquire{"w#1", n, "lock/5/5", 0, true})
	}
	return r
}

// No call takes longer than maxStall of a processor with as much as there may be: the end of an owner that has
// as many locks as it may, or as many tickets in one queue, is the longest. A call is judged by the shortest of
// some runs: this machine may do other things.
func TestNothingStallsApply(t *testing.T) {
	if testing.Short() || race.Enabled {
		t.Skip("measures processor time")
	}
	if threadTime() == 0 {
		ci.Missingf(t, "a clock of what a thread has used of the processor")
	}
	runtime.LockOSThread() // see threadTime
	defer runtime.UnlockOSThread()
	longest, limit := map[string]time.Duration{}, time.Duration(0)
	limits := map[string]time.Duration{"take a snapshot": 4} // it is no command, and rare
	for range 6 {
		began := threadTime()
		r := crowd(t)
		limit = max(limit, maxStall, (threadTime()-began)/(MaxLocks+MaxTickets)*maxStallGrants)
		stalled := false
		for _, call := range []struct {
			name string
			does func()
		}{
			{"take and give back", func() { r.all(Release{"o1#1", 7, false}, Acquire{"o1#1", 7, "lock/7/1", 0, false}) }},
			{"hand over", func() { r.all(Release{"o5#1", 5, false}) }},
			{"give up waiting", func() { r.all(Release{"w#1", MaxTickets - 1, false}) }},
			{"end one that holds", func() { r.all(End{"o3#1"}) }},
			{"end one that waits", func() { r.all(End{"w#1"}) }},
			{"look at all of them", func() { r.Tickets("o8#1") }},
			{"take a snapshot", func() { r.Snapshot() }},
		} {
			began := threadTime()
			call.does()
			took := (threadTime() - began)
			if before, ok := longest[call.name]; ok {
				took = min(took, before)
			}
			longest[call.name] = took
			stalled = stalled || took > limit*max(1, limits[call.name])
		}
		if !stalled {
			break
		}
	}
	for name, took := range longest {
		t.Logf("%-20s %v", name, took)
	}
	for name, took := range longest {
		if took > limit*max(1, limits[name]) {
			ci.Latef(t, "to %s took %v, of %v that it may take here", name, took, limit*max(1, limits[name]))
		}
	}
}

// BenchmarkHandOver is one hand-over of a lock for which 1000 wait, who queue again.
func BenchmarkHandOver(b *testing.B) {
	r := newRig(b)
	const n = 1000
	for i := range uint64(n) {
		id := fmt.Sprintf("o%d#1", i%10)
		r.Apply(i, epoch, Register{id, id}.Append(nil))
		r.Apply(i, epoch, Acquire{id, i, "lock/x", 0, true}.Append(nil))
	}
	var buf []byte
	ticket := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		id := fmt.Sprintf("o%d#1", ticket%10)
		buf = Release{id, ticket, false}.Append(buf[:0])
		r.Apply(ticket, epoch, buf)
		buf = Acquire{id, ticket + n, "lock/x", 0, true}.Append(buf[:0])
		r.Apply(ticket, epoch, buf)
		ticket++
	}
}

// BenchmarkTakeAndGiveBack is the lock and unlock of a lock that nobody else wants.
func BenchmarkTakeAndGiveBack(b *testing.B) {
	r := newRig(b)
	r.Apply(1, epoch, Register{"o#1", "o"}.Append(nil))
	var buf []byte
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		buf = Acquire{"o#1", n, "lock/x", 0, true}.Append(buf[:0])
		r.Apply(n, epoch, buf)
		buf = Release{"o#1", n, false}.Append(buf[:0])
		r.Apply(n, epoch, buf)
	}
}
