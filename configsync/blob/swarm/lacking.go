package swarm

import (
	"fmt"
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

// room looks whether all that is lacking fits.
func (j *job) room() error {
	if len(j.items) == 0 {
		return nil
	}
	lacking := make([]blob.Ref, len(j.items))
	for i, it := range j.items {
		lacking[i] = it.ref
		if j.f.config.Store.Has(it.ref.Hash) {
			return fmt.Errorf("swarm: fetch %v: it is in the store, and has not %d bytes", it.ref.Hash, it.ref.Size)
		}
	}
	return j.f.config.Store.RoomFor(lacking)
}

// present returns what the store has of what is wanted.
func (j *job) present() []blob.Hash {
	var hashes []blob.Hash
	for _, r := range j.refs {
		if j.f.config.Store.Has(r.Hash) {
			hashes = append(hashes, r.Hash)
		}
	}
	return hashes
}

// window picks about which blobs the peers are asked, and puts those that somebody has in order: the rarest
// first, as far as is known.
func (j *job) window() {
	j.items = slices.DeleteFunc(j.items, func(it *item) bool { return it.done })
	j.asked = j.items[:min(window, len(j.items))]
	var byHolders [mostSlots + 1][]*item
	for _, it := range j.items {
		n := ones(it.holders &^ it.wrong)
		byHolders[n] = append(byHolders[n], it)
	}
	j.order = slices.Concat(byHolders[1:]...)
	for _, s := range j.slots {
		s.cursor, s.idle = 0, false
	}
}

func (j *job) finished(it *item) {
	it.done = true
	j.done++
	j.forget(it)
	j.starved = nil
	if j.done%(window/4) == 0 || j.done == len(j.refs) {
		j.window()
	}
}
