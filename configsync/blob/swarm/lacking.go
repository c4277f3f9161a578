package swarm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// item is a blob that is lacking. Peers are bits.
type item struct {
	ref     blob.Ref
	active  bool
	done    bool
	holders uint64    // say that they have it
	wrong   uint64    // have sent other bytes, or did not have it after all
	busy    uint64    // cannot send it now: until they are asked again
	spent   uint64    // have sent it often enough
	failed  uint64    // have failed to send it
	first   time.Time // when it was first spent somewhere; zero = it was not
	since   time.Time // when it was spent somewhere and not busy anywhere; zero = it is not
	part    *blob.Writer
	from    uint64 // of whom the part is
	whole   bool   // parts of several peers did not fit, nobody knows why: all of it from one
}

// window is about how many blobs the peers are asked at once.
const window = 4096

// lacking is what a Fetch is to bring, and what of it has not come.
type lacking struct {
	store  *blob.Store
	refs   []blob.Ref // all, each once
	items  []*item    // that had not come when they were arranged, in random order
	asked  []*item    // the first of items: those that peers are asked about
	order  []*item    // of asked those that somebody has, the rarest first
	done   int        // of refs, that have come, or were there
	total  int64      // bytes of refs
	before int64      // bytes that were there
}

func newLacking(store *blob.Store, refs []blob.Ref) lacking {
	l := lacking{store: store}
	seen := make(map[blob.Hash]bool, len(refs))
	for _, r := range refs {
		if !seen[r.Hash] {
			seen[r.Hash] = true
			l.refs = append(l.refs, r)
			l.total += r.Size
		}
	}
	l.before = l.total
	for _, r := range store.Missing(l.refs) {
		l.items = append(l.items, &item{ref: r})
		l.before -= r.Size
	}
	l.done = len(l.refs) - len(l.items)
	rand.Shuffle(len(l.items), func(a, b int) { l.items[a], l.items[b] = l.items[b], l.items[a] })
	return l
}

// count returns how many blobs have not come.
func (l *lacking) count() int { return len(l.refs) - l.done }

// room looks whether all that is lacking fits.
func (l *lacking) room() error {
	if len(l.items) == 0 {
		return nil
	}
	refs := make([]blob.Ref, len(l.items))
	for i, it := range l.items {
		refs[i] = it.ref
		if l.store.Has(it.ref.Hash) {
			return fmt.Errorf("swarm: fetch %v: it is in the store, and has not %d bytes", it.ref.Hash, it.ref.Size)
		}
	}
	return l.store.RoomFor(refs)
}

// present returns what the store has of what is wanted.
func (l *lacking) present() []blob.Hash {
	var hashes []blob.Hash
	for _, r := range l.refs {
		if l.store.Has(r.Hash) {
			hashes = append(hashes, r.Hash)
		}
	}
	return hashes
}

// arrange picks about which blobs the peers are asked, and puts those that somebody has in order: the rarest
// first, as far as is known.
func (l *lacking) arrange() {
	l.items = slices.DeleteFunc(l.items, func(it *item) bool { return it.done })
	l.asked = l.items[:min(window, len(l.items))]
	var byHolders [mostSlots + 1][]*item
	for _, it := range l.items {
		n := ones(it.holders &^ it.wrong)
		byHolders[n] = append(byHolders[n], it)
	}
	l.order = slices.Concat(byHolders[1:]...)
}

// came notes that a blob has come. It reports whether it is time to arrange the rest.
func (l *lacking) came(it *item) bool {
	it.done = true
	l.done++
	return l.done%(window/4) == 0 || l.count() == 0
}
