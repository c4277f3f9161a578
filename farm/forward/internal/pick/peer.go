package pick

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is what a request says of the peer that had it.
type Outcome uint8

const (
	// Neutral says nothing: the client has gone, for example.
	Neutral Outcome = iota
	// Good: the peer has answered.
	Good
	// Poor: the peer has answered with an error, or its handler did not. That is the handler's fault or the
	// peer's; only a peer that has more of them than the others is ejected for it.
	Poor
	// Bad: the peer could not be reached, or did not take the request and did not refuse it. Five in a row
	// eject it.
	Bad
	// Refused: the peer does not want the request. It is left alone for a moment.
	Refused
)

const (
	decay       = 10 * time.Second       // in which a past latency loses two thirds of its weight
	penalty     = 2 * time.Second        // what a peer that does nothing but fail seems to take longer
	errorWeight = 1.0 / 16               // of one more outcome, among those before
	longest     = 30 * time.Second       // a latency beyond is one like this
	leastDelay  = 100 * time.Microsecond // a latency below is one like this
	reportFresh = 2 * time.Second        // in which what a peer says of its load fades to nothing
	shunTime    = time.Second            // a peer is left alone for, after a refusal or a failure
	maxShun     = 10 * time.Second       // and at most, whatever it says of trying again
	rampTime    = 15 * time.Second       // in which a new or recovered peer gets more and more
	rampFrom    = 0.1                    // of its share, at the beginning
)

// Peer is one candidate, and what is known of it. It is safe for concurrent use.
type Peer struct {
	id  string
	of  any
	set *Set

	flight   atomic.Int64  // of ours
	chosen   atomic.Uint64 // times
	draining atomic.Bool   // it says that it stops
	down     atomic.Bool   // there is no connection with it
	shun     atomic.Int64  // until when it is left alone
	risen    atomic.Int64  // when its ramp began; rampDone: it has its whole share
	latency  atomic.Uint64 // bits of a float64, seconds; 0 = none is known
	measured atomic.Int64  // when latency was
	failing  atomic.Uint64 // bits of a float64: the part of the last requests that have failed
	failed   atomic.Int64  // when the last one did

	others   atomic.Int64 // requests that are not ours, as last reported
	limit    atomic.Int64 // as last reported; 0 = none is known
	reported atomic.Int64 // when

	ejected atomic.Int64 // until when; 0 = it is not; it stays set until a probe has succeeded
	probe   atomic.Bool  // a request is finding out whether the peer is well

	mu        sync.Mutex
	row       int   // Bad ones in a row; guarded by mu
	ejections int64 // by which the next one is longer; guarded by mu
	forgiven  int64 // when one of them was forgiven last; guarded by mu
	good, all int   // in this interval; guarded by mu
}

// rampDone as Peer.risen says that a peer has its whole share.
const rampDone = math.MinInt64

// Of returns what the peer was made with, for whoever has its connections.
func (p *Peer) Of() any { return p.of }

// SetDraining notes that the peer says that it stops, or that it takes requests again. One that stops is not
// chosen.
func (p *Peer) SetDraining(on bool) {
	if was := p.draining.Swap(on); was && !on {
		p.rise(p.set.nanos()) // back again
	}
}

// SetDown notes that there is no connection with the peer, or that there is one again. One that is down is
// chosen if there is nobody else.
func (p *Peer) SetDown(on bool) { p.down.Store(on) }

// Report notes what the peer says of its load: the requests running there, and how many it takes, 0 for any
// number.
func (p *Peer) Report(running, limit int) {
	p.others.Store(max(int64(running)-p.flight.Load(), 0))
	p.limit.Store(int64(limit))
	p.reported.Store(p.set.nanos())
}

// Leave takes a request out of the count that goes on as a stream: an idle one costs the peer nothing. Done
// follows, with Result.Left.
func (p *Peer) Leave() { p.flight.Add(-1) }

// Avoid has the peer left alone for so long: it is chosen if there is nobody else.
func (p *Peer) Avoid(d time.Duration) { p.shun.Store(p.set.nanos() + int64(d)) }

// Heard says that the peer has begun to answer a request: it is well. Done follows, perhaps much later.
func (p *Peer) Heard() { p.recover(p.set.nanos()) }

// A Result is how a request has gone.
type Result struct {
	Outcome Outcome
	// Latency is the time until the head of the answer.
	Latency time.Duration
	// Left says that Leave was called.
	Left bool
	// RetryAfter is how long a peer that refused does not want to be asked again. 0 = a second.
	RetryAfter time.Duration
}

// Done says how a request has gone that Pick counted. It is called once for each.
func (p *Peer) Done(r Result) {
	if !r.Left {
		p.flight.Add(-1)
	}
	now := p.set.nanos()
	switch r.Outcome {
	case Neutral:
		if p.ejected.Load() != 0 {
			p.probe.Store(false) // it has shown nothing
		}
		return
	case Refused:
		wait := shunTime
		if r.RetryAfter > 0 {
			wait = min(r.RetryAfter, maxShun)
		}
		p.Avoid(wait)
		p.recover(now) // whoever refuses is there
		return
	case Good:
		p.measure(now, r.Latency)
		p.recover(now)
	default:
		p.failed.Store(now)
		if r.Outcome == Bad {
			p.Avoid(shunTime)
		}
	}
	p.fail(r.Outcome != Good)
	p.count(now, r.Outcome)
	p.set.ejectOutliers(now)
}

// fail takes an outcome into the part of requests that fail.
func (p *Peer) fail(failed bool) {
	for {
		old := p.failing.Load()
		part := math.Float64frombits(old)
		if !failed && part == 0 {
			return
		}
		part -= part * errorWeight
		if failed {
			part += errorWeight
		} else if part < 1e-3 {
			part = 0
		}
		if p.failing.CompareAndSwap(old, math.Float64bits(part)) {
			return
		}
	}
}

// measure takes a latency into the mean.
func (p *Peer) measure(now int64, d time.Duration) {
	sample := min(max(d, leastDelay), longest).Seconds()
	for {
		old := p.latency.Load()
		mean := math.Float64frombits(old)
		if sample < mean {
			w := math.Exp(-float64(max(now-p.measured.Load(), 0)) / float64(decay))
			sample = mean*w + sample*(1-w)
		}
		if p.latency.CompareAndSwap(old, math.Float64bits(sample)) {
			p.measured.Store(now)
			return
		}
	}
}

// mean returns the latency, in seconds, 0 if none is known. What was long ago counts less, so that one that
// was slow is tried again. An error's own latency counts for nothing, as it may be short: the square of the
// part of requests that fail counts instead, so that one in a hundred, as happens anywhere, makes little
// difference.
func (p *Peer) mean(now int64) float64 {
	mean := math.Float64frombits(p.latency.Load())
	if age := now - p.measured.Load(); mean > 0 && age > int64(decay)/8 {
		mean = max(mean*math.Exp(-float64(age)/float64(decay)), leastDelay.Seconds())
	}
	if part := math.Float64frombits(p.failing.Load()); part > 0 {
		part *= math.Exp(-float64(max(now-p.failed.Load(), 0)) / float64(decay))
		mean += part * part * penalty.Seconds()
	}
	return mean
}

// load returns how many requests are in flight there. What the peer has said fades, since nobody knows what
// has become of it.
func (p *Peer) load(now int64) float64 {
	n := float64(p.flight.Load())
	if age := now - p.reported.Load(); age < int64(reportFresh) {
		n += float64(p.others.Load()) * (1 - float64(max(age, 0))/float64(reportFresh))
	}
	return n
}

// fill returns the part of the peer's limit that is in use: 0 where it has none, or has said nothing lately.
func (p *Peer) fill(now int64) float64 {
	limit := p.limit.Load()
	if limit <= 0 || now-p.reported.Load() >= int64(reportFresh) {
		return 0
	}
	return p.load(now) / float64(limit)
}

// rise begins the ramp of a peer that is new or has recovered. Where this node has begun itself just now, all
// are new to it.
func (p *Peer) rise(now int64) {
	if now <= int64(rampTime) {
		now = rampDone
	}
	p.risen.Store(now)
}

// share returns the part of its share that the peer gets by now: 1 for most.
func (p *Peer) share(now int64) float64 {
	risen := p.risen.Load()
	if risen == rampDone {
		return 1
	}
	age := float64(max(now-risen, 0)) / float64(rampTime)
	if age >= 1 {
		p.risen.CompareAndSwap(risen, rampDone)
		return 1
	}
	return rampFrom + (1-rampFrom)*age
}
