package cluster

import (
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// What is taken in is to be done within a second, beside the time of the lines that it goes over. So how much
// may be under way follows from how fast entries land. It counts entries, and not bytes: a slow disk takes as
// long for each write whatever is in it, and if less were allowed because less was stored, still less would
// be stored. The time that lines take is no part of that pace, for the same reason: with less under way, each
// entry would seem to take longer, and still less would be allowed.

const (
	creditFor = 400 * time.Millisecond // all that has credit is to have landed in this time
	takenFor  = 900 * time.Millisecond // and all that the leader has taken in, in this

	// What is under way comes to the leader and is answered from there, and an entry goes to the others and
	// back: that is what lines take of a turn. Twice the way to a majority is allowed for it.
	roundTrips = 2

	// The leader's disk writes one entry while those of the followers write the one before, and the next one
	// gathers. With less than that under way the disks would rest.
	leastEntries = 3
)

// landings measures how long an entry takes where others are before and behind it, but for the lines. The
// zero value knows nothing yet, and nil never does. One goroutine notes what lands.
type landings struct {
	line   func() time.Duration // to a majority and back; nil: it takes no time
	last   time.Time
	looked time.Time    // at line
	away   atomic.Int64 // ns, what that said
	each   atomic.Int64 // ns, of late; 0: not known
}

// note takes note of an entry that has landed, and was given to raft at a time.
func (l *landings) note(began, now time.Time) {
	if l.line != nil && now.Sub(l.looked) >= span {
		l.looked = now
		l.away.Store(int64(l.line()))
	}
	began = began.Add(time.Duration(l.away.Load())) // it could not land before that
	if l.last.After(began) {
		began = l.last // it was behind that one
	}
	l.last = now
	took, each := max(int64(now.Sub(began)), 1), l.each.Load()
	if each == 0 {
		each = took
	}
	l.each.Store(max(each+(took-each)/4, 1))
}

// within returns how many entries land in a time and that of the lines, as far as it is between two bounds.
// However fast the disks are, there are no more in a round trip than may be in flight.
func (l *landings) within(d time.Duration, least, most int) int {
	if l == nil || l.each.Load() == 0 {
		return most
	}
	away := l.away.Load()
	each, all := max(l.each.Load(), away/entriesInFlight), int64(d)+roundTrips*away
	return int(min(max(all/each, int64(least)), int64(most)))
}

// mean returns the mean size of a command.
func (b load) mean() int { return b.bytes / max(1, b.commands) }

// entryBytes returns how many bytes an entry holds of commands of a size; see cargo.full.
func entryBytes(size int) int {
	return min(max(largeCommands*size, wire.MaxEntryBytes), largeCommands*wire.MaxEntryBytes)
}

// entries returns what a number of entries hold, of commands of a size. It is half a command less, since the
// last byte of a credit is good for a whole one.
func entries(n, size int) load {
	each := entryBytes(size)
	return load{n * wire.MaxEntryCommands, n*each - min(size, each)/2}
}

// wholeEntry is the weight of an entry that is full.
const wholeEntry = 1_000_000

// weight returns how much of an entry a batch would take, if it had some more bytes. Each batch has its own
// weight: by the mean size of all that is taken in, a few large commands would be too much as soon as there
// are small ones beside them.
func (b load) weight(more int) int64 {
	return max(wholeEntry*int64(b.commands)/wire.MaxEntryCommands,
		wholeEntry*int64(b.bytes+more)/int64(entryBytes(b.mean())))
}

// bulk is the bytes of a batch, each times the size of the command that it belongs to.
func (b load) bulk() int64 { return int64(b.bytes) * int64(b.mean()) }

// sizeLocked returns the size of the command that a byte of what is taken in belongs to, in the mean. Small
// commands beside large ones hardly change it: they must not take the credit for the next large one, which
// would then take all that its node has.
func (i *intake) sizeLocked() int { return int(i.bulk / int64(max(1, i.taken.bytes))) }

// amountLocked returns what is divided in the present span.
func (i *intake) amountLocked() load {
	if i.all == (load{}) {
		return allCredit
	}
	return i.all
}

// dividedLocked returns how much may be under way of all origins together, as entries land now.
func (i *intake) dividedLocked() load {
	const most = 2*entriesInFlight + 2 // which is allCredit
	n := i.landings.within(creditFor, leastEntries, most)
	if n == most {
		return allCredit
	}
	return entries(n, i.sizeLocked()).min(allCredit)
}

// roomLocked reports whether the leader takes in a batch that it may refuse, beside what it has taken in. It
// keeps room for half a command more, as entries does.
func (i *intake) roomLocked(b load) bool {
	if !i.taken.plus(b).within(maxTaken) {
		return false
	}
	most := maxTaken.bytes / wire.MaxEntryBytes
	n := i.landings.within(takenFor, leastEntries+1, most)
	half := min(b.mean(), entryBytes(b.mean())) / 2
	return n == most || i.weight+b.weight(half) <= int64(n)*wholeEntry
}
