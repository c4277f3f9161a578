package forward

import (
	"math"
	"sync"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// room is how many connections there may be to all peers together. Each request that is forwarded needs a
// descriptor of its own beside that of its client.
type room struct {
	mu   sync.Mutex
	most int
	used int
}

// newRoom returns the room in a process that may have so many descriptors, 0 = not known: three sixteenths.
// The clients have a half of them, and the connections that peers open a quarter.
func newRoom(limit int) *room {
	if limit == 0 {
		return &room{most: math.MaxInt}
	}
	return &room{most: limit * 3 / 16}
}

func ownRoom() *room { return newRoom(descriptors.Limit()) }

// take takes the room for one connection, and reports false if there is none; if need be, there always is.
func (r *room) take(need bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used >= r.most && !need {
		return false
	}
	r.used++
	return true
}

// give gives the room for one connection back.
func (r *room) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
}
