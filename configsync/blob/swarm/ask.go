package swarm

import (
	"context"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	soonest = 50 * time.Millisecond // between two questions to a peer
	latest  = time.Second
)

// ask asks those peers what they have of whom there may be news.
func (j *job) ask(ctx context.Context) {
	now := time.Now()
	for _, s := range j.slots.all {
		if !s.present || s.asking || now.Before(j.due(s)) || !j.f.ready(s.id) || !j.wonders(s) {
			continue
		}
		s.asking = true
		s.last = now
		s.askedDone = j.lacking.done
		items := slices.DeleteFunc(slices.Clone(j.lacking.asked), func(it *item) bool { return it.done })
		hashes := make([]blob.Hash, len(items))
		for i, it := range items {
			hashes[i] = it.ref.Hash
		}
		j.running++
		go func() {
			has, err := j.f.have(ctx, s.id, hashes)
			j.f.judge(s.id, ofPeer(ctx, err))
			j.events <- event{slot: s, items: items, has: has, err: err}
		}()
	}
}

// due returns when a peer may be asked again. Many are asked less often.
func (j *job) due(s *slot) time.Time {
	return s.last.Add(s.interval * time.Duration(max(1, len(j.slots.all)/8)))
}

// wonders reports whether there may be news of a peer: it was never asked, or there are many blobs about
// which it was not, or it could send something if it had it; or else from time to time, since others get
// blobs meanwhile.
func (j *job) wonders(s *slot) bool {
	return s.askedDone < 0 || s.idle || j.lacking.done-s.askedDone > len(j.lacking.asked)/2 ||
		time.Since(s.last) > 2*latest
}

// learn takes in what a peer has.
func (j *job) learn(e event) {
	s := e.slot
	s.asking, s.heard = false, true
	if e.err != nil {
		s.said = e.err
		s.interval = min(2*s.interval, latest)
		if descriptors.Exhausted(e.err) {
			j.patience.starved = e.err
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
		j.arrange()
		return
	}
	s.interval = min(2*s.interval, latest)
	s.rewind()
}
