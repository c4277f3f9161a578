package state

import (
	"bytes"
	"cmp"
	"slices"
)

const (
	// maxRunning is how many sessions a minute may hold to be searched before it is over. Once it is over, all of them
	// are past their deadline, and finding one costs nothing.
	maxRunning = 8192

	// maxSweep is how many graves one Tick drops.
	maxSweep = 4 * MaxExpire
)

// tick collects the dead minute by minute, within a minute shard by shard, within these by deadline and key. So which
// ones a limited Tick collects depends on nothing but the sessions themselves, and it never has to sort more than the
// share of one shard in one minute.
func (t *table) tick(d *decoder) Result {
	limit := d.uvarint()
	if !d.done() {
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
			if room > 0 {
				slices.SortFunc(dead, sh.compare)
			}
			dead, more = dead[:room], true
		}
		for _, slot := range dead {
			t.end(sh, slot)
		}
		n += len(dead)
		if more {
			break
		}
	}
	return n, more
}

// deadIn returns the slots of the dead of a minute, in no order.
func (t *table) deadIn(sh *shard, minute int64) []uint32 {
	slot, ok := sh.due[minute]
	if !ok {
		return nil
	}
	now, dead := t.now.Load(), t.dead[:0]
	for ; slot != noSlot; slot = sh.links[slot].next {
		if sh.at(slot).deadline() <= now {
			dead = append(dead, slot)
		}
	}
	t.dead = dead
	return dead
}

// compare orders slots by deadline and key.
func (sh *shard) compare(a, b uint32) int {
	x, y := sh.at(a), sh.at(b)
	return cmp.Or(cmp.Compare(x.deadline(), y.deadline()), bytes.Compare(x.key[:], y.key[:]))
}

// tidy gives memory back, a bounded amount of work at a time.
func (t *table) tidy() {
	now, budget, compactions := t.now.Load(), maxSweep, 8
	for i := range t.shards {
		sh := &t.shards[i]
		swept := sh.sweep(now, budget)
		t.tombstones.Add(-int64(swept))
		budget -= swept
		if compactions > 0 && sh.sparse() {
			sh.compact(t.epoch)
			compactions--
		}
	}
}
