package configsync

import (
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// remember keeps what is ready. Values that other releases have too are the same objects.
func (m *Manager) remember(st *staged) (*staged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	others := []*staged{m.now.Load().staged}
	for _, o := range m.ready {
		others = append(others, o)
	}
	for i, v := range st.values {
		for _, o := range others {
			if o.wrong == nil && v.same(o.values[i]) {
				st.values[i] = o.values[i]
				break
			}
		}
	}
	m.ready[st.digest] = st
	return st, st.wrong
}

// pruneLocked forgets what is ready and needed no more.
func (m *Manager) pruneLocked(source *state.State, now *snapshot) {
	needed := map[digest]bool{now.staged.digest: true, m.defaults.digest: true}
	for _, r := range source.Retained() {
		needed[source.Digest(r)] = true
	}
	m.prunePreviewsLocked(source)
	for d := range m.ready {
		if !needed[d] {
			delete(m.ready, d)
		}
	}
}
