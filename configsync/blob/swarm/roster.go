package swarm

import (
	"slices"
	"sync/atomic"
)

// Roster is a list of the nodes that are present, which one goroutine keeps and many read. Its zero value is
// an empty one.
//
//	go func() {
//		for state := range node.Watch(ctx) {
//			roster.Set(idsOf(state))
//		}
//	}()
//	swarm.NewFetcher(swarm.FetcherConfig{Peers: roster.Present, ...})
type Roster struct {
	ids atomic.Pointer[[]string]
}

// Set replaces the list.
func (r *Roster) Set(ids []string) {
	ids = slices.Clone(ids)
	r.ids.Store(&ids)
}

// Present returns the list. It takes no lock and does not allocate. The caller must not change it.
func (r *Roster) Present() []string {
	if ids := r.ids.Load(); ids != nil {
		return *ids
	}
	return nil
}
