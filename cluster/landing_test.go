package cluster

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// How long an entry takes is told by those that come behind each other, and is forgotten soon.
func TestLandings(t *testing.T) {
	var l landings
	if got := l.within(time.Second, 3, 10); got != 10 {
		t.Errorf("when nothing has landed yet: %d", got)
	}
	now := time.Now()
	began := now
	for range 20 { // four of them are under way all the time
		now = now.Add(100 * time.Millisecond)
		l.note(began, now)
		began = now.Add(-300 * time.Millisecond)
	}
	if l.each.Load() != int64(100*time.Millisecond) {
		t.Errorf("one each 100 ms: %v", time.Duration(l.each.Load()))
	}
	for _, c := range []struct{ within, least, most, want int }{
		{1000, 3, 20, 10}, {1000, 3, 8, 8}, {200, 3, 20, 3},
	} {
		if got := l.within(time.Duration(c.within)*time.Millisecond, c.least, c.most); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	now = now.Add(time.Hour) // and the next one comes alone
	for range 20 {
		l.note(now, now.Add(time.Millisecond))
		now = now.Add(time.Minute)
	}
	if l.each.Load() > int64(2*time.Millisecond) {
		t.Errorf("many that take 1 ms, an hour later: %v", time.Duration(l.each.Load()))
	}
}

// The time of the lines is no time of the disks. However few entries are under way over a long line, as many
// may be as would be over a short one, and those that the line holds.
func TestLongLinesAreNoSlowDisks(t *testing.T) {
	const least, most = leastEntries, 100
	for _, c := range []struct {
		trip, disk time.Duration // disk for each entry
		want       int
	}{
		{20 * time.Millisecond, 0, 88}, {200 * time.Millisecond, 0, 16}, // four of them in each round trip
		{200 * time.Millisecond, 75 * time.Millisecond, 10},
		{200 * time.Millisecond, 800 * time.Millisecond, least},
	} {
		trip := c.trip
		l := landings{line: func() time.Duration { return trip }}
		now := time.Now()
		disk := now
		var began []time.Time // of those under way
		for range 50 {
			for len(began) < leastEntries {
				began = append(began, now)
			}
			if first := began[0].Add(trip); first.After(disk) {
				disk = first
			}
			disk = disk.Add(c.disk)
			now = disk
			l.note(began[0], now)
			began = began[1:]
		}
		if got := l.within(creditFor, least, most); got < c.want || got > c.want+c.want/10 {
			t.Errorf("an entry in %v on the disk, over a line of %v: %d may be under way, want %d", c.disk, trip,
				got, c.want)
		}
	}
}

// The way to a majority is that to the last one who is needed for it, whoever else is far away or silent.
func TestWayToAMajority(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var f followers
		for id, trip := range map[string]time.Duration{"near": 1, "far": 100, "farther": 200} {
			f.of(id).line.Beat(trip * time.Millisecond)
		}
		f.of("silent").line.Heard()
		for _, c := range []struct {
			voters []string
			want   time.Duration
		}{
			{nil, 0},
			{[]string{"here"}, 0},
			{[]string{"here", "near"}, 1},
			{[]string{"far", "here", "near"}, 1},
			{[]string{"far", "here", "silent"}, 100},
			{[]string{"silent", "here", "unknown"}, 0},
			{[]string{"far", "farther", "here", "near", "silent"}, 100},
			{[]string{"near", "farther", "far"}, 100}, // it leads, and has no vote any more
		} {
			if got := f.roundTrip("here", c.voters); got != c.want*time.Millisecond {
				t.Errorf("to a majority of %v: %v, want %v ms", c.voters, got, int(c.want))
			}
		}
	})
}

// An entry holds its bytes, or three large commands. Of what is divided by the byte the last command is left
// out: it gets through with the last byte.
func TestEntries(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		n, size, want int // bytes
	}{
		{4, 0, 4 * wire.MaxEntryBytes},
		{4, 200, 4*wire.MaxEntryBytes - 100},
		{3, 100 * kib, 3*300*kib - 50*kib},
		{3, 800 * kib, 3*384*kib - 192*kib},
	} {
		if got := entries(c.n, c.size); got != (load{c.n * wire.MaxEntryCommands, c.want}) {
			t.Errorf("%d of %d bytes: %+v, want %d bytes", c.n, c.size, got, c.want)
		}
	}
}

// The slower the disks, the less may be under way, and the less the leader takes in; but never less than
// keeps them busy.
func TestCreditGoesByTheDisks(t *testing.T) {
	const mean = 100 << 10
	for _, c := range []struct {
		each                         time.Duration // of an entry
		commands, bytes, taken, none int           // credit; how many commands are taken in, and how many not
	}{
		{0, allCredit.commands, allCredit.bytes, 50, 60},
		{10 * time.Millisecond, allCredit.commands, allCredit.bytes, 50, 60},
		{100 * time.Millisecond, 4 * wire.MaxEntryCommands, 12*mean - mean/2, 26, 27},
		{time.Second, 3 * wire.MaxEntryCommands, 9*mean - mean/2, 11, 12},
	} {
		bubble.Test(t, func(t *testing.T) {
			i := intake{landings: &landings{}}
			if c.each > 0 {
				began := time.Now()
				time.Sleep(c.each)
				i.landings.note(began, time.Now())
			}
			b := &wire.Batch{Origin: 1, Count: 1, Body: make([]byte, mean-16)}
			b.Body = b.Body[:mean-(b.Size()-len(b.Body))] // which is mean bytes in all
			n := 0
			for ; n < 100 && i.take(b, true) == nil; n++ {
			}
			if n < c.taken || n >= c.none {
				t.Errorf("an entry in %v: %d are taken in, want %d and not %d", c.each, n, c.taken, c.none)
			}
			time.Sleep(2 * span)
			if got := creditOf(i.done(b)); got != (load{c.commands, c.bytes}) {
				t.Errorf("an entry in %v: a credit of %+v, want %d and %d", c.each, got, c.commands, c.bytes)
			}
		})
	}
}

// On slow disks small commands are taken in beside large ones, and a large one beside small ones. What each
// takes of an entry counts.
func TestSmallAndLargeBesideEachOther(t *testing.T) {
	const slow = int64(time.Second)
	batch := func(origin uint64, count, size int) *wire.Batch {
		b := &wire.Batch{Origin: origin, Count: count, Body: make([]byte, size)}
		b.Body = b.Body[:size-(b.Size()-size)]
		return b
	}
	t.Run("small beside large", func(t *testing.T) {
		i := intake{landings: &landings{}}
		i.landings.each.Store(slow)
		for range 2 {
			if err := i.take(batch(1, 1, 450<<10), true); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for ; n < 2000 && i.take(batch(2, 1, 200), true) == nil; n++ {
		}
		if n < wire.MaxEntryCommands || n > 2*wire.MaxEntryCommands {
			t.Errorf("%d small ones are taken in beside two large ones, want one entry of them, or two", n)
		}
	})
	t.Run("credit for large beside small", func(t *testing.T) {
		i := intake{landings: &landings{}}
		i.landings.each.Store(slow)
		small, large := batch(1, 100, 20<<10), batch(2, 1, 450<<10)
		i.take(small, true)
		i.take(large, true)
		if got := creditOf(i.done(large)).bytes; got <= 2*450<<10 {
			t.Errorf("who sends large ones has a credit of %d bytes, want more than two of them", got)
		}
	})
	t.Run("full batches of small ones", func(t *testing.T) {
		i := intake{landings: &landings{}}
		i.landings.each.Store(slow)
		n := 0
		for ; n < 9 && i.take(batch(1, wire.MaxEntryCommands, 50<<10), true) == nil; n++ {
		}
		if n != leastEntries+1 {
			t.Errorf("%d entries of small commands are taken in, want %d", n, leastEntries+1)
		}
	})
	t.Run("large beside small", func(t *testing.T) {
		i := intake{landings: &landings{}}
		i.landings.each.Store(slow)
		small, large := batch(1, 100, 20<<10), batch(2, 1, wire.MaxCommandBytes)
		for range 3 {
			if err := i.take(small, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.take(large, true); err != nil {
			t.Fatalf("the largest command beside 60 KiB of small ones: %v", err)
		}
		for _, b := range []*wire.Batch{small, large, small, small} {
			i.done(b)
		}
		if i.weight != 0 || i.bulk != 0 || i.taken != (load{}) {
			t.Errorf("when all is answered, %d, %d and %+v are left", i.weight, i.bulk, i.taken)
		}
	})
}
