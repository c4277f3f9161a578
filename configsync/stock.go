package configsync

import (
	"maps"
	"sync"
)

// stock has the releases that are ready on this node, or can never be: always the one in use too.
type stock struct {
	mu    sync.Mutex
	ready map[digest]*staged // guarded by mu
}

func newStock(defaults *staged) *stock {
	return &stock{ready: map[digest]*staged{defaults.digest: defaults}}
}

// get returns a release; nil if it is not ready.
func (sk *stock) get(d digest) *staged {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	return sk.ready[d]
}

// add keeps a release, and returns why it can never be used. Values that other releases have too are the same
// objects.
func (sk *stock) add(st *staged) (*staged, error) {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	for i, v := range st.values {
		for _, o := range sk.ready {
			if o.wrong == nil && v.same(o.values[i]) {
				st.values[i] = o.values[i]
				break
			}
		}
	}
	sk.ready[st.digest] = st
	return st, st.wrong
}

// keepOnly forgets all others.
func (sk *stock) keepOnly(needed map[digest]bool) {
	sk.mu.Lock()
	defer sk.mu.Unlock()
	maps.DeleteFunc(sk.ready, func(d digest, _ *staged) bool { return !needed[d] })
}
