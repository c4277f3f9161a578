package session

import (
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// watches are what waits for sessions of a replicated store to end. The copy that is watched may be replaced,
// or may belong to a history without the session: while anybody waits, that is looked at once a second.
type watches struct {
	local func() *Machine

	mu      sync.Mutex // taken before that of the machine
	machine *Machine   // the copy that is watched
	all     map[*state.Watcher]struct{}
	timer   *time.Timer // of the next look; it runs while anybody waits
}

// watchLook is how often the copy that is watched is compared with the present one.
const watchLook = time.Second

func (ws *watches) watch(key StoreKey, index uint64, ended func()) (stop func()) {
	w := state.NewWatcher(key, index, ended)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.moveLocked()
	ws.machine.Watch(w)
	switch {
	case ws.all == nil:
		ws.all = make(map[*state.Watcher]struct{})
		ws.timer = time.AfterFunc(watchLook, ws.look)
	case len(ws.all) == 0:
		ws.timer.Reset(watchLook)
	}
	ws.all[w] = struct{}{}
	return func() { ws.leave(w) }
}

func (ws *watches) leave(w *state.Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
	ws.machine.Unwatch(w)
	if len(ws.all) == 0 {
		ws.timer.Stop()
	}
}

// moveLocked watches the present copy.
func (ws *watches) moveLocked() {
	machine := ws.local()
	if machine == ws.machine {
		return
	}
	for w := range ws.all {
		ws.machine.Unwatch(w)
		machine.Watch(w)
	}
	ws.machine = machine
}

// look looks at the present copy.
func (ws *watches) look() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.all) == 0 {
		return
	}
	ws.moveLocked()
	ws.machine.Recheck()
	ws.timer.Reset(watchLook)
}
