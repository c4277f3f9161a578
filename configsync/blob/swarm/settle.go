package swarm

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// handle takes in how something ended.
func (j *job) handle(e event) {
	j.running--
	switch {
	case e.batch != nil:
		j.streams--
		for i, it := range e.items {
			j.settle(event{slot: e.slot, item: it, err: e.batch.ends[i]})
		}
		if errors.Is(e.err, errProtocol) {
			e.slot.many = false // until it says so again
		}
	case e.item != nil:
		j.streams--
		j.settle(e)
	default:
		j.learn(e)
	}
}

// settle takes in how it went with one blob.
func (j *job) settle(e event) {
	it := e.item
	it.active = false
	if e.got >= worthwhile || e.err == nil {
		j.moved = time.Now()
		j.came = j.moved
		e.slot.interval = soonest
	}
	switch {
	case e.err == nil:
		j.finished(it)
		return
	case errors.Is(e.err, errMixed):
		it.whole = true
	case errors.Is(e.err, blob.ErrCorrupt), errors.Is(e.err, errHasNot):
		it.wrong |= e.slot.bit
	case errors.Is(e.err, errRefused):
		j.later(it, e)
		j.hurry()
	case descriptors.Exhausted(e.err):
		j.starved, j.rest = e.err, time.Now().Add(latest/4)
	case isLocal(e.err):
		j.failed = e.err
	default:
		it.failed |= e.slot.bit
	}
	e.slot.said = e.err
	j.keep(it, e)
	for _, s := range j.slots { // any of them may go on with it
		s.cursor, s.idle = 0, false
	}
}

func (j *job) finished(it *item) {
	it.done = true
	j.done++
	j.forget(it)
	j.starved = nil
	if j.done%(window/4) == 0 || j.done == len(j.refs) {
		j.window()
	}
}

// later notes that a peer which has the blob does not send it now. It lives, so that there is something to
// wait for, but not for ever.
func (j *job) later(it *item, e event) {
	now := time.Now()
	switch {
	case errors.Is(e.err, errSpent):
		it.spent |= e.slot.bit
		if it.since.IsZero() {
			it.since = now
		}
		if it.first.IsZero() {
			it.first = now
		}
		if now.Sub(it.since) > j.f.insist {
			return
		}
	case errors.Is(e.err, errBusy): // who gets it now will have it
		it.busy |= e.slot.bit
		it.since = time.Time{}
	default:
		it.busy |= e.slot.bit
		return
	}
	j.moved = now
}

// keep holds on to what has come of a blob, for somebody to go on with.
func (j *job) keep(it *item, e event) {
	if e.part == nil {
		it.from = 0
		return
	}
	it.part = e.part
	j.parts++
	if it.whole || j.parts > mostParts || j.failed != nil {
		j.forget(it)
	}
}

// forget throws away what has come of a blob.
func (j *job) forget(it *item) {
	if it.part == nil {
		return
	}
	if !it.done {
		j.f.wasted(it.part.Len())
		j.count(-it.part.Len())
	}
	it.part.Discard()
	it.part, it.from = nil, 0
	j.parts--
}

// learn takes in what a peer has.
func (j *job) learn(e event) {
	s := e.slot
	s.asking, s.heard = false, true
	if e.err != nil {
		s.said = e.err
		s.interval = min(2*s.interval, latest)
		if descriptors.Exhausted(e.err) {
			j.starved = e.err
		}
		return
	}
	s.said, s.many = nil, e.has.many
	news := false
	for i, it := range e.items {
		has := e.has.bits[i/8]&(1<<(i%8)) != 0
		news = news || has != (it.holders&s.bit != 0) || it.busy&s.bit != 0
		it.busy &^= s.bit
		it.holders &^= s.bit
		if has {
			it.holders |= s.bit
		}
	}
	if news {
		s.interval = soonest
		j.window()
		return
	}
	s.interval = min(2*s.interval, latest)
	s.cursor, s.idle = 0, false
}

// count takes in bytes, by the goroutines of transfers.
func (j *job) count(n int64) { j.come.Add(n) }

// report tells the caller how far it is.
func (j *job) report(last bool) {
	if j.progress == nil || !last && time.Since(j.told) < reportEvery {
		return
	}
	j.told = time.Now()
	p := Progress{Blobs: j.done, TotalBlobs: len(j.refs), Bytes: j.before + j.come.Load(),
		TotalBytes: j.total}
	j.progress(p)
}

// UnavailableError names a blob that no peer has, and whom Fetch has asked. It is ErrUnavailable.
type UnavailableError struct {
	Hash    blob.Hash
	Missing int     // blobs that are lacking, this one included
	Asked   []Asked // empty: no peer was present
}

// Asked is a peer and what it said.
type Asked struct {
	Peer string
	Said string
}

// Error implements error.
func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %v", ErrUnavailable, e.Hash)
	if e.Missing > 1 {
		fmt.Fprintf(&b, ", and %d others are lacking", e.Missing-1)
	}
	if len(e.Asked) == 0 {
		b.WriteString("; no peer is present")
	}
	for i, a := range e.Asked {
		if i == 8 {
			fmt.Fprintf(&b, "; and %d more were asked", len(e.Asked)-i)
			break
		}
		fmt.Fprintf(&b, "; %s %s", a.Peer, a.Said)
	}
	return b.String()
}

// Unwrap returns ErrUnavailable.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }

// unavailable is about the first blob that is lacking.
func (j *job) unavailable() error {
	e := &UnavailableError{Missing: len(j.refs) - j.done}
	for _, it := range j.items {
		if !it.done && (e.Hash.IsZero() || it.holders&^it.wrong == 0) {
			e.Hash, e.Asked = it.ref.Hash, j.answers(it)
			if it.holders&^it.wrong == 0 {
				break
			}
		}
	}
	return e
}

func (j *job) answers(it *item) []Asked {
	var asked []Asked
	for _, s := range j.slots {
		said := "has not got it"
		switch {
		case it.wrong&s.bit != 0:
			said = "does not have the right bytes"
		case s.said != nil:
			said = "fails: " + s.said.Error()
		case it.holders&s.bit != 0:
			said = "has it, and does not send it"
		case s.askedDone < 0:
			said = "could not be asked"
		}
		if !s.present {
			said += " (and is gone)"
		}
		asked = append(asked, Asked{Peer: s.id, Said: said})
	}
	return asked
}

func ones(x uint64) int { return bits.OnesCount64(x) }
