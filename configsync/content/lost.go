package content

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
)

// Disown is for a pin that is ahead of this node when the node has all that any other has: the state of the farm that
// its client has seen is lost, as after a backup was put back. Such a pin is as good as one that is over, for as long
// as it is ahead. So its client is shown what is in force, and not what nobody has.
func (s *Set) Disown(r *http.Request) {
	if pin, ok := s.read(r); ok && s.ahead(pin) {
		s.Pins.lost.add(pin)
	}
}

// read returns the pin of a request; of one of a lost state, its draw alone.
func (s *Set) read(r *http.Request) (Pin, bool) {
	pin, ok := s.Pins.Read(r)
	if ok && s.ahead(pin) && s.Pins.lost.has(pin) {
		return Pin{Draw: pin.Draw}, pin.Draw > 0
	}
	return pin, ok
}

// lost are pins of states of the farm that are lost. The zero value has none.
type lost struct {
	mu  sync.Mutex // of who adds
	all atomic.Pointer[map[Pin]bool]
}

// maxLost is how many are kept. When there are more, all are forgotten: each is found again.
const maxLost = 1000

func (l *lost) has(pin Pin) bool {
	all := l.all.Load()
	return all != nil && (*all)[seen(pin)]
}

func (l *lost) add(pin Pin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[Pin]bool{seen(pin): true}
	if all := l.all.Load(); all != nil && len(*all) < maxLost {
		maps.Copy(next, *all)
	}
	l.all.Store(&next)
}

// seen returns what a pin says its client has seen.
func seen(pin Pin) Pin { return Pin{Release: pin.Release, Epoch: pin.Epoch, Turn: pin.Turn} }
