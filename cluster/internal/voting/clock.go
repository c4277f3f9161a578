package voting

import (
	"slices"
	"sync"
	"time"
)

// Clock is the leader's clock for the log: the last stamp and the monotonic time since. Times are Unix ms. It
// jumps forward only as far as the clocks of a majority of voters have come, so that one machine living in
// 2040 ends no session.
type Clock struct {
	mu      sync.Mutex
	base    uint64 // Unix ms
	anchor  time.Time
	self    string
	samples map[string]sample // by server ID
}

type sample struct {
	clock uint64 // Unix ms
	at    time.Time
}

// NewClock returns the clock of a leader whose log ends at stamp (Unix ms); self is its server ID.
func NewClock(self string, stamp uint64, now time.Time) *Clock {
	return &Clock{self: self, base: stamp, anchor: now, samples: map[string]sample{}}
}

// Sample takes in what a voter's clock says (Unix ms), at the moment now.
func (c *Clock) Sample(server string, clock uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples[server] = sample{clock, now}
}

// Raise makes the log's time at least stamp.
func (c *Clock) Raise(stamp uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stamp > c.base+elapsedMS(c.anchor, now) {
		c.base, c.anchor = stamp, now
	}
}

// Stamp returns the log's time, given who votes now. It never goes back.
func (c *Clock) Stamp(voters []string, now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.base + elapsedMS(c.anchor, now)
	if m := c.majorityLocked(voters, now); m > t {
		t, c.base, c.anchor = m, m, now
	}
	return t
}

// majorityLocked returns the latest time that a majority of the voters' clocks have reached. A voter that was
// not heard has reached nothing.
func (c *Clock) majorityLocked(voters []string, now time.Time) uint64 {
	if len(voters) == 0 {
		return 0
	}
	clocks := make([]uint64, 0, len(voters))
	for _, v := range voters {
		s, ok := c.samples[v]
		switch {
		case v == c.self:
			clocks = append(clocks, uint64(now.UnixMilli()))
		case ok:
			clocks = append(clocks, s.clock+elapsedMS(s.at, now))
		default:
			clocks = append(clocks, 0)
		}
	}
	slices.Sort(clocks)
	return clocks[(len(clocks)-1)/2]
}

func elapsedMS(since, now time.Time) uint64 {
	return uint64(max(now.Sub(since), 0).Milliseconds())
}
