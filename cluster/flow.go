package cluster

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// load is an amount of work: of what waits, of what is under way, or of what may be.
type load struct{ commands, bytes int }

func (a load) plus(b load) load  { return load{a.commands + b.commands, a.bytes + b.bytes} }
func (a load) minus(b load) load { return load{a.commands - b.commands, a.bytes - b.bytes} }

// min and max return the lesser, or the greater, of the commands and of the bytes.
func (a load) min(b load) load { return load{min(a.commands, b.commands), min(a.bytes, b.bytes)} }
func (a load) max(b load) load { return load{max(a.commands, b.commands), max(a.bytes, b.bytes)} }

// within reports whether a is not more than a limit, in commands and in bytes.
func (a load) within(limit load) bool { return a.commands <= limit.commands && a.bytes <= limit.bytes }

// firstCredit is what an origin may have under way before the leader has told it more: as much as one entry
// holds.
var firstCredit = load{wire.MaxEntryCommands, wire.MaxEntryBytes}

// plainCredit is what it may have at a leader whose program gives no credits.
var plainCredit = load{batchesInFlight * wire.MaxEntryCommands, batchesInFlight * wire.MaxCommandBytes}

// maxQueued is what may wait at an origin at most, as when the farm has no leader.
var maxQueued = load{64 << 10, 64 << 20}

const (
	// queuePatience is for how long a command may have to wait for credit, and doneWithin for its answer as
	// well. It is a mean: one in a hundred takes up to twice as long.
	queuePatience = 400 * time.Millisecond
	doneWithin    = 500 * time.Millisecond

	// longTurn is from when on what waits would lose more time by gathering here than it costs to send it.
	longTurn = 100 * time.Millisecond

	// creditLasts is for how long the leader's word holds when nothing is under way that could bring another
	// one.
	creditLasts = time.Second
)

// flow decides how much an origin may have under way, and how much may wait for that. The originator's mutex
// guards it.
//
// The leader says with each answer how much may be under way: the credit. So what waits is sent a credit's
// worth at a time, and each takes one turn: the time from sending a batch to its answer. That tells a
// newcomer's wait before it begins.
type flow struct {
	queued load          // what waits here
	aloft  load          // what is in batches under way
	credit load          // what may be
	limit  float64       // of commands under way, so that callers who give up are answered in time; 0: none
	cut    time.Time     // when limit was lowered at last
	turn   time.Duration // of late; 0 if there was no answer yet
	heard  time.Time     // when the last answer came
	opened time.Time     // when the first one of this window came
	shut   time.Time     // the leader has refused a batch: until then newcomers are refused here
	via    any           // the connection, or the leadership on this node, that the credit is from
	plain  bool          // the program at its other end gives none
}

// begin opens a new window if via is another one than before. Nothing was heard over that one yet.
func (f *flow) begin(via any) {
	if f.via != via {
		f.via, f.plain, f.credit, f.limit, f.turn = via, false, firstCredit, 0, 0
		f.shut, f.heard, f.opened = time.Time{}, time.Time{}, time.Time{}
	}
}

// rest forgets what the leader has said if it has been silent for a while because nothing was under way.
func (f *flow) rest(now time.Time) {
	if f.aloft.commands == 0 && !f.plain && now.Sub(f.heard) > creditLasts {
		f.credit, f.limit, f.turn = firstCredit, 0, 0
	}
}

// answered takes note of an answer to a batch of n commands and of the credit that came with it.
func (f *flow) answered(via any, credit load, n int, took time.Duration, now time.Time) {
	if f.via != via {
		return
	}
	f.credit, f.heard = credit, now
	if f.turn == 0 {
		f.opened = now
	}
	f.took(took, n)
	if f.limit > 0 {
		f.limit += float64(n) / 10
	}
	if f.limit >= float64(credit.commands) {
		f.limit = 0
	}
}

// took takes note of a turn, by as much as its batch is of what is under way.
func (f *flow) took(d time.Duration, n int) {
	weight := min(max(float64(n)/float64(max(1, f.aloft.commands)), 1./8), 1./2)
	if f.turn == 0 {
		weight = 1
	}
	f.turn = max(f.turn+time.Duration(weight*float64(d-f.turn)), time.Nanosecond)
}

// refused takes note of a batch that the leader had no room for. By the time in which an entry lands it may
// have: a turn takes four of those, or more. Until then what it would refuse need not cross the network.
func (f *flow) refused(via any, now time.Time) {
	if f.via != via {
		return
	}
	f.shut = now.Add(min(max(f.turn/4, 10*time.Millisecond), time.Second))
}

// missed takes note of a batch of n commands that nobody waited for to the end, though the leader answers:
// its turn takes longer than they had time. Then less must be under way, or nobody is answered in time.
func (f *flow) missed(via any, n int, after time.Duration, now time.Time) {
	if f.via != via || now.Sub(f.heard) > max(time.Second, 2*f.turn) {
		return // it does not answer, or is another one
	}
	if after > f.turn {
		f.took(after, n)
	}
	if now.Sub(f.cut) < f.turn {
		return // what was sent before the last cut tells nothing about it
	}
	f.limit, f.cut = max(1, 0.7*float64(min(f.most(), f.aloft.commands))), now
}

// most returns how many commands may be under way.
func (f *flow) most() int {
	if f.limit > 0 {
		return min(f.credit.commands, int(f.limit))
	}
	return f.credit.commands
}

// mean returns the mean size of a command that waits.
func (f *flow) mean() int { return max(1, f.queued.bytes/max(1, f.queued.commands)) }

// free returns for how many commands, of the size of those that wait, there is credit now. The last byte of
// it is good for a whole command, so that a large one gets through.
func (f *flow) free() int {
	bytes, size := f.credit.bytes-f.aloft.bytes, f.mean()
	return max(0, min(f.most()-f.aloft.commands, (bytes+size-1)/size))
}

// next returns how many of the commands that wait may leave now, in one batch.
func (f *flow) next() int { return min(f.queued.commands, f.free(), wire.MaxEntryCommands) }

// ready reports whether what may leave makes a batch: it is not less than what is under way, or as large as
// one may be. So a lone proposal leaves at once, and many gather, as at the leader (see sequencer). Where
// turns are long, a part of an entry leaves too: else it would wait for a turn, and then for another one.
func (f *flow) ready() bool {
	k := f.next()
	return k > 0 && (k >= f.aloft.commands || k == wire.MaxEntryCommands ||
		(k+1)*f.mean() > wire.MaxEntryBytes ||
		f.turn >= longTurn && k*f.mean() >= wire.MaxEntryBytes/batchesInFlight)
}

// window returns how many commands, of the size of those that wait, can be under way.
func (f *flow) window() int {
	size := f.mean()
	batch := min(wire.MaxEntryCommands, max(1, wire.MaxEntryBytes/size))
	return max(1, min(f.most(), (f.credit.bytes+size-1)/size, batchesInFlight*batch))
}

// room returns how many commands may wait: those that have credit, and as many as are sent soon enough to be
// answered in time. If a turn takes as long as an answer may, none but the former.
func (f *flow) room() int {
	if f.turn == 0 {
		return maxQueued.commands
	}
	turn := f.turn
	if f.heard.Sub(f.opened) < 4*turn {
		turn *= 2 // the first answers are of a leader that had nothing else to do
	}
	turns := float64(min(queuePatience, max(0, doneWithin-turn))) / float64(turn)
	return min(maxQueued.commands, f.free()+int(float64(f.window())*turns))
}

// takes reports whether a command of a size may wait, whose caller has time for it (0: without end). One that
// can leave at once always may, unless the leader has just refused another one.
func (f *flow) takes(size int, patience time.Duration, now time.Time) bool {
	switch {
	case now.Before(f.shut):
		return false
	case f.queued.commands == 0 && f.free() > 0:
		return true
	case !f.queued.plus(load{1, size}).within(maxQueued) || f.queued.commands >= f.room():
		return false
	}
	return patience == 0 || f.turn == 0 || f.wait()+f.turn <= patience
}

// wait returns how long a newcomer has to wait before it is sent.
func (f *flow) wait() time.Duration {
	return time.Duration(float64(f.turn) * float64(f.queued.commands/f.window()))
}

// excess returns how many of the commands that wait are too many by now. A little more than room is none:
// turns differ.
func (f *flow) excess() int {
	if room := f.room(); f.queued.commands > room+room/4 {
		return f.queued.commands - room
	}
	return 0
}

// exhausted reports whether commands wait because the credit is used up, at a leader that answers.
func (f *flow) exhausted(now time.Time) bool {
	return f.aloft.commands > 0 && f.next() <= 0 && now.Sub(f.heard) < max(time.Second, 2*f.turn)
}
