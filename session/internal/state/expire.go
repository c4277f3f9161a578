package state

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
)

const (
	// maxRunning is how many sessions a minute may hold to be searched before it is over. Once it is over, all of them
	// are past their deadline, and finding one costs nothing.
	maxRunning = 8192

	// maxSweep is how many graves one Tick drops.
	maxSweep = 4 * MaxExpire

	// maxRebuilt is how many entries of sparse shards one Tick moves, save that it always rebuilds one shard.
	maxRebuilt = 8 * MaxExpire
)

// due is a slot of a session that is past its deadline.
type due struct {
	deadline int64
	slot     uint32
}

// tick collects the dead minute by minute, within a minute shard by shard, within these by deadline and key. So which
// ones a limited Tick collects depends on nothing but the sessions themselves, and it never has to sort more than the
// share of one shard in one minute.
func (t *table) tick(d *decoder) Result {
	limit := d.Uint()
	if !d.Done() {
		return Result{Status: Malformed}
	}
	if limit == 0 || limit > MaxExpire {
		limit = MaxExpire
	}
	t.ticked.Store(t.now.Load())
	answer := Result{Status: OK}
	for budget := int(limit); ; {
		minute, ok := t.dueMinute()
		if !ok {
			break
		}
		n, more := t.collect(minute, budget)
		answer.Count += n
		budget -= n
		if more {
			answer.More = true
			break
		}
		if t.calendar.count[minute] > 0 { // the running minute; the rest of it is alive
			break
		}
	}
	t.tidy()
	return answer
}

// dueMinute returns the first minute that may have dead sessions and is worth searching.
func (t *table) dueMinute() (minute int64, ok bool) {
	minute, ok = t.calendar.first()
	if !ok {
		return 0, false
	}
	now := t.now.Load()
	over := now >= (minute+1)*minuteMillis-1
	return minute, over || now >= minute*minuteMillis && t.calendar.count[minute] <= maxRunning
}

// collect ends up to most of the dead of a minute and reports whether there are more of them.
func (t *table) collect(minute int64, most int) (n int, more bool) {
	for i := range t.shards {
		sh := &t.shards[i]
		dead := t.deadIn(sh, minute)
		if room := most - n; len(dead) > room {
			sh.bringFirst(dead, room)
			dead, more = dead[:room], true
		}
		for _, d := range dead {
			t.end(sh, d.slot)
		}
		n += len(dead)
		if more {
			break
		}
	}
	return n, more
}

// deadIn returns the dead of a minute, in no order.
func (t *table) deadIn(sh *shard, minute int64) []due {
	slot, ok := sh.due[minute]
	if !ok {
		return nil
	}
	now, dead := t.now.Load(), t.dead[:0]
	for ; slot != noSlot; slot = sh.links[slot].next {
		if deadline := sh.at(slot).deadline(); deadline <= now {
			dead = append(dead, due{deadline, slot})
		}
	}
	t.dead = dead
	return dead
}

// bringFirst moves the n first, by deadline and key, to the front, in no order: to know which ones they are costs less
// than to sort all.
func (sh *shard) bringFirst(dead []due, n int) {
	lo, hi := 0, len(dead) // those before lo are among the n, those from hi on are not
	for rounds := 2 * bits.Len(uint(hi)); lo < n && n < hi; rounds-- {
		if rounds == 0 || hi-lo < 16 {
			slices.SortFunc(dead[lo:hi], sh.compare)
			return
		}
		if at := lo + sh.divide(dead[lo:hi]); at < n {
			lo = at + 1
		} else {
			hi = at
		}
	}
}

// divide puts one of the dead where it belongs in their order, those before it to its left, and returns where that is.
func (sh *shard) divide(dead []due) int {
	last := len(dead) - 1
	three := [...]due{dead[0], dead[last/2], dead[last]}
	slices.SortFunc(three[:], sh.compare)
	dead[0], dead[last/2], dead[last] = three[0], three[2], three[1]
	at := 0
	for i := range last {
		if sh.compare(dead[i], dead[last]) < 0 {
			dead[i], dead[at] = dead[at], dead[i]
			at++
		}
	}
	dead[at], dead[last] = dead[last], dead[at]
	return at
}

// compare orders by deadline and key.
func (sh *shard) compare(a, b due) int {
	if a.deadline != b.deadline {
		return cmp.Compare(a.deadline, b.deadline)
	}
	x, y := sh.at(a.slot), sh.at(b.slot)
	return bytes.Compare(x.key[:], y.key[:])
}

// tidy gives memory back, a bounded amount of work at a time.
func (t *table) tidy() {
	now, sweep, rebuild := t.now.Load(), maxSweep, maxRebuilt
	for i := range t.shards {
		sh := &t.shards[i]
		swept := sh.sweep(now, sweep)
		t.tombstones.Add(-int64(swept))
		sweep -= swept
		if rebuild > 0 && sh.sparse() {
			sh.compact(t.epoch)
			rebuild -= len(sh.index)
		}
	}
}
