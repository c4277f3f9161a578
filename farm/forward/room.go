package forward

import (
	"math"
	"sync"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// room is how many lanes there may be to all peers together; the trunk takes what finds no room.
type room struct {
	most int

	mu   sync.Mutex
	used int // guarded by mu
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

// take takes the room for one connection, and reports false if there is none. A peer that has few gets it
// anyway.
func (r *room) take(few bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used >= r.most && !few {
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
