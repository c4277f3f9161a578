package swarm

import (
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	longestWait = 20       // times the patience, for peers that say that they will send it
	worthwhile  = 64 << 10 // bytes of a part that count as something that has come
)

// patience says whether a Fetch goes on.
type patience struct {
	bound   time.Duration // FetcherConfig.Patience
	moved   time.Time     // when something came last, or was promised
	came    time.Time     // when bytes of a blob came last
	failed  error         // of our own disk, for which it is of no use to go on
	starved error         // no descriptors: it may get better
	rest    time.Time     // until when nothing is begun, for want of descriptors
}

func newPatience(bound time.Duration) patience {
	return patience{bound: bound, moved: time.Now(), came: time.Now()}
}

// rests reports whether nothing is to be begun now.
func (p *patience) rests() bool { return time.Now().Before(p.rest) || p.failed != nil }

// something notes that blobs come.
func (p *patience) something() {
	p.moved = time.Now()
	p.came = p.moved
}

// lasts reports whether it is soon enough after the last that has come.
func (p *patience) lasts() bool {
	return time.Since(p.moved) < p.bound && time.Since(p.came) < longestWait*p.bound
}

// localFault takes in an error that may be of our own; it reports whether it is.
func (p *patience) localFault(err error) bool {
	switch {
	case descriptors.Exhausted(err):
		p.starved, p.rest = err, time.Now().Add(latest/4)
	case isLocal(err):
		p.failed = err
	default:
		return false
	}
	return true
}
