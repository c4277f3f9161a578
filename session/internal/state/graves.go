package state

import (
	"cmp"
	"slices"
)

// grave remembers a session that ended. It counts until TombstoneTTL after that; when it is swept away afterwards is
// of no consequence, and so may differ between nodes.
type grave struct {
	key Key
	at  int64 // ms of log time
}

func (g grave) counts(now int64) bool { return now < g.at+TombstoneTTL.Milliseconds() }

// graves is a queue, the oldest at the front. Graves are not changed once in it, so a snapshot needs no more than the
// slice.
type graves struct {
	first uint32 // number of items[0]; numbers go round at inGrave
	items []grave
}

func (g *graves) get(number uint32) grave { return g.items[(number-g.first)&^inGrave] }

func (g *graves) push(v grave) (number uint32) {
	number = (g.first + uint32(len(g.items))) &^ inGrave
	g.items = append(g.items, v)
	return number
}

// sortGraves brings graves that were not pushed in the order of their times, as the queue needs it, into that order.
func (sh *shard) sortGraves() {
	slices.SortFunc(sh.graves.items, func(a, b grave) int { return cmp.Compare(a.at, b.at) })
	for i, g := range sh.graves.items {
		sh.index[g.key] = inGrave | (sh.graves.first+uint32(i))&^inGrave
	}
}

// buriedLocked reports whether there is a grave that counts.
func (sh *shard) buriedLocked(key Key, now int64) bool {
	n, ok := sh.index[key]
	return ok && n&inGrave != 0 && sh.graves.get(n&^inGrave).counts(now)
}

// buryLocked puts a grave where the key's session was.
func (sh *shard) buryLocked(key Key, now int64) {
	sh.index[key] = inGrave | sh.graves.push(grave{key, now})
}

// sweep drops up to most graves that do not count any more and returns how many it dropped.
func (sh *shard) sweep(now int64, most int) (n int) {
	items := sh.graves.items
	for n < len(items) && n < most && !items[n].counts(now) {
		n++
	}
	if n == 0 {
		return 0
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, g := range items[:n] {
		if number := (sh.graves.first + uint32(i)) &^ inGrave; sh.index[g.key] == inGrave|number {
			delete(sh.index, g.key)
		}
	}
	sh.graves.first = (sh.graves.first + uint32(n)) &^ inGrave
	sh.graves.items = items[n:]
	if n == len(items) {
		sh.graves.items = nil
	}
	return n
}
