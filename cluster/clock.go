package cluster

import (
	"slices"
	"sync"
	"time"
)

// logClock is the leader's clock for the log: the last stamp and the monotonic time since. It jumps forward only as far
// as the clocks of a majority of voters have come, so that one machine living in 2040 ends no session.
type logClock struct {
	mu      sync.Mutex
	base    uint64 // Unix ms
	anchor  time.Time
	self    string
	samples map[string]clockSample // by server ID
}

type clockSample struct {
	clock uint64 // Unix ms
	at    time.Time
}

func newLogClock(self string, stamp uint64, now time.Time) *logClock {
	return &logClock{self: self, base: stamp, anchor: now, samples: map[string]clockSample{}}
}

// sample takes in what a voter's clock says.
func (c *logClock) sample(server string, clock uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples[server] = clockSample{clock, now}
}

// raise makes the log's time at least stamp.
func (c *logClock) raise(stamp uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stamp > c.base+elapsedMS(c.anchor, now) {
		c.base, c.anchor = stamp, now
	}
}

// stamp returns the log's time, given who votes now. It never goes back.
func (c *logClock) stamp(voters []string, now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.base + elapsedMS(c.anchor, now)
	if m := c.majorityLocked(voters, now); m > t {
		t, c.base, c.anchor = m, m, now
	}
	return t
}

// majorityLocked returns the latest time that a majority of the voters' clocks have reached. A voter that was not heard
// has reached nothing.
func (c *logClock) majorityLocked(voters []string, now time.Time) uint64 {
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
