package swarm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// Progress says how far a Fetch is. What was in the store before counts as done.
type Progress struct {
	Blobs, TotalBlobs int   // each once
	Bytes, TotalBytes int64 // Bytes also counts what has come of blobs that are not whole yet
}

// Fetch returns nil when the store has all of refs, durably. It asks the peers that are present which blobs
// they have, takes those first that few of them have, and goes on with another peer, and in the middle of a
// blob, where one fails. It asks again and again, peers that come meanwhile, too, and gives up when nothing
// has come for FetcherConfig.Patience. What has come until then stays in the store.
//
// progress, if any, is called by the goroutine of the caller, ten times a second at most and once at the end.
//
// Errors: UnavailableError, which is ErrUnavailable; ErrNoRoom before anything is asked for if there is no
// room for what is lacking; those of ctx and of the disk.
func (f *Fetcher) Fetch(ctx context.Context, refs []blob.Ref, progress func(Progress)) error {
	if err := checkRefs(refs); err != nil {
		return err
	}
	j := newJob(f, refs, progress)
	if err := j.room(); err != nil {
		return err
	}
	err := j.run(ctx)
	if e := f.config.Store.Durable(j.present()...); e != nil && (err == nil || !isLocal(err)) {
		err = e
	}
	j.report(true)
	return err
}

func checkRefs(refs []blob.Ref) error {
	for _, r := range refs {
		switch {
		case r.Hash.IsZero():
			return fmt.Errorf("swarm: fetch: %w", blob.ErrHash)
		case r.Size < 0:
			return fmt.Errorf("swarm: fetch %v: a size of %d bytes", r.Hash, r.Size)
		case r.Size > blob.MaxSize:
			return fmt.Errorf("%w: %v is to have %d bytes; at most %d",
				blob.ErrTooLarge, r.Hash, r.Size, int64(blob.MaxSize))
		}
	}
	return nil
}

const (
	window      = 4096 // blobs about which the peers are asked at once
	mostSlots   = 64   // peers of one Fetch
	mostParts   = 32   // blobs of which a part is kept until another peer goes on
	insistAfter = 2 * time.Second
	tick        = 25 * time.Millisecond
	soonest     = 50 * time.Millisecond // between two questions to a peer
	latest      = time.Second
	reportEvery = 100 * time.Millisecond
	longestWait = 20       // times the patience, for peers that say that they will send it
	longestHope = 20       // times what one waits before one insists: longer than a peer can be busy (turnSlow)
	worthwhile  = 64 << 10 // bytes of a part that count as something that has come
)

// job is one Fetch. Everything in it belongs to the goroutine of run.
type job struct {
	f        *Fetcher
	progress func(Progress)
	refs     []blob.Ref // all, each once
	items    []*item    // that are lacking, in random order
	asked    []*item    // the first of items: those that peers are asked about
	order    []*item    // of asked those that somebody has, the rarest first
	slots    []*slot
	events   chan event
	running  int          // transfers and questions, each of which ends with an event
	streams  int          // transfers
	parts    int          // items with a part
	total    int64        // bytes of refs
	here     uint64       // bits of the peers that are present
	done     int          // items that have come
	before   int64        // bytes that were there
	come     atomic.Int64 // bytes that have come
	moved    time.Time    // when something came last
	came     time.Time    // when bytes of a blob came last
	told     time.Time
	failed   error // of our own disk, for which it is of no use to go on
	starved  error // no descriptors: it may get better
	rest     time.Time
}

// item is a blob that is lacking. Peers are bits.
type item struct {
	ref     blob.Ref
	active  bool
	done    bool
	holders uint64    // say that they have it
	wrong   uint64    // have sent other bytes, or did not have it after all
	busy    uint64    // cannot send it now: until they are asked again
	spent   uint64    // have sent it often enough
	failed  uint64    // have failed to send it
	first   time.Time // when it was first spent somewhere; zero = it was not
	since   time.Time // when it was spent somewhere and not busy anywhere; zero = it is not
	part    *blob.Writer
	from    uint64 // of whom the part is
	whole   bool   // parts of several peers did not fit, nobody knows why: all of it from one
}

// slot is a peer, for one Fetch.
type slot struct {
	id        string
	bit       uint64
	present   bool
	asking    bool
	heard     bool      // it has answered a question, or failed to
	last      time.Time // when it was asked last
	interval  time.Duration
	askedDone int  // what job.done was when it was asked; -1 = it was not
	cursor    int  // in job.order
	idle      bool // it has nothing that could be taken from it now
	many      bool // it sends many small blobs in one answer
	said      error
}

// event is how a transfer, a batch or a question ended.
type event struct {
	slot  *slot
	item  *item   // of a transfer
	items []*item // of a batch, or asked about
	batch *batch
	has   holding // nil bits: it was no question, or there is an error
	part  *blob.Writer
	got   int64
	err   error
}

func newJob(f *Fetcher, refs []blob.Ref, progress func(Progress)) *job {
	j := &job{f: f, progress: progress, events: make(chan event), moved: time.Now(), came: time.Now()}
	seen := make(map[blob.Hash]bool, len(refs))
	for _, r := range refs {
		if !seen[r.Hash] {
			seen[r.Hash] = true
			j.refs = append(j.refs, r)
			j.total += r.Size
		}
	}
	j.before = j.total
	for _, r := range f.config.Store.Missing(j.refs) {
		j.items = append(j.items, &item{ref: r})
		j.before -= r.Size
	}
	j.done = len(j.refs) - len(j.items)
	rand.Shuffle(len(j.items), func(a, b int) { j.items[a], j.items[b] = j.items[b], j.items[a] })
	return j
}

// room looks whether all that is lacking fits.
func (j *job) room() error {
	if len(j.items) == 0 {
		return nil
	}
	lacking := make([]blob.Ref, len(j.items))
	for i, it := range j.items {
		lacking[i] = it.ref
		if j.f.config.Store.Has(it.ref.Hash) {
			return fmt.Errorf("swarm: fetch %v: it is in the store, and has not %d bytes", it.ref.Hash, it.ref.Size)
		}
	}
	return j.f.config.Store.RoomFor(lacking)
}

// present returns what the store has of what is wanted.
func (j *job) present() []blob.Hash {
	var hashes []blob.Hash
	for _, r := range j.refs {
		if j.f.config.Store.Has(r.Hash) {
			hashes = append(hashes, r.Hash)
		}
	}
	return hashes
}

func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer j.drain(cancel)
	timer := time.NewTicker(tick)
	defer timer.Stop()
	j.window()
	for len(j.items) > 0 {
		j.meet()
		j.assign(ctx)
		j.ask(ctx)
		j.report(false)
		if err := j.verdict(); err != nil {
			return err
		}
		select {
		case e := <-j.events:
			j.handle(e)
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("swarm: fetch: %d of %d blobs are lacking: %w",
				len(j.refs)-j.done, len(j.refs), context.Cause(ctx))
		}
	}
	return nil
}

// drain ends what runs, and throws parts away.
func (j *job) drain(cancel func()) {
	cancel()
	for j.running > 0 {
		j.handle(<-j.events)
	}
	for _, it := range j.items {
		j.forget(it)
	}
}

// verdict says whether it is time to give up.
func (j *job) verdict() error {
	patience := j.f.config.Patience
	switch {
	case j.failed != nil:
		return j.failed
	case j.streams > 0 || time.Since(j.moved) < patience && time.Since(j.came) < longestWait*patience:
		return nil
	case slices.ContainsFunc(j.slots, func(s *slot) bool { return s.asking && !s.heard }):
		return nil // so that what is said of nobody having it is what they have said: Stall bounds it
	case j.starved != nil:
		return fmt.Errorf("swarm: fetch: %w", descriptors.Explain(j.starved))
	}
	return j.unavailable()
}

// meet notes who is present.
func (j *job) meet() {
	ids := j.f.config.Peers()
	j.here = 0
	for _, s := range j.slots {
		if s.present = slices.Contains(ids, s.id); s.present {
			j.here |= s.bit
		}
	}
	if len(j.slots) == len(ids) && !slices.ContainsFunc(j.slots, func(s *slot) bool { return !s.present }) {
		return
	}
	known := len(j.slots)
	for _, i := range rand.Perm(len(ids)) {
		if len(j.slots) == mostSlots {
			return
		}
		if !slices.ContainsFunc(j.slots, func(s *slot) bool { return s.id == ids[i] }) {
			j.slots = append(j.slots,
				&slot{id: ids[i], bit: 1 << len(j.slots), present: true, askedDone: -1, interval: soonest})
		}
	}
	if len(j.slots) > known {
		for _, s := range j.slots[known:] {
			j.here |= s.bit
		}
		rand.Shuffle(len(j.slots), func(a, b int) { j.slots[a], j.slots[b] = j.slots[b], j.slots[a] })
	}
}

// window picks about which blobs the peers are asked, and puts those that somebody has in order: the rarest
// first, as far as is known.
func (j *job) window() {
	j.items = slices.DeleteFunc(j.items, func(it *item) bool { return it.done })
	j.asked = j.items[:min(window, len(j.items))]
	var byHolders [mostSlots + 1][]*item
	for _, it := range j.items {
		n := ones(it.holders &^ it.wrong)
		byHolders[n] = append(byHolders[n], it)
	}
	j.order = slices.Concat(byHolders[1:]...)
	for _, s := range j.slots {
		s.cursor, s.idle = 0, false
	}
}

// assign begins transfers: in turn from each peer that has something, as many as may be.
func (j *job) assign(ctx context.Context) {
	if time.Now().Before(j.rest) || j.failed != nil {
		return
	}
	for again := true; again; {
		again = false
		for _, s := range j.slots {
			if !s.present || s.idle || !j.f.room(s.id, false) {
				continue
			}
			it := j.next(s)
			if it == nil {
				s.idle = true
				continue
			}
			if !j.f.room(s.id, true) {
				s.cursor = 0
				continue
			}
			if more := j.more(s, it); len(more) > 1 {
				j.startBatch(ctx, s, more)
			} else {
				j.start(ctx, s, it)
			}
			again = true
		}
	}
}

// next returns what is to be taken from a peer now.
func (j *job) next(s *slot) *item {
	for ; s.cursor < len(j.order); s.cursor++ {
		it := j.order[s.cursor]
		if it.done || it.active || it.holders&s.bit == 0 || (it.wrong|it.busy)&s.bit != 0 {
			continue
		}
		if it.spent&s.bit != 0 && !j.insists(it) {
			continue
		}
		return it
	}
	return nil
}

// more returns an item, and those that may be asked for together with it: fewer, the less is lacking, so that at the
// end nobody waits for the peer that is the slowest. What a peer was asked for it may send as slowly as leastProgress
// allows, and nobody else is asked meanwhile: so it is never much more than one blob may be.
func (j *job) more(s *slot, first *item) []*item {
	if !s.many || !j.together(first) {
		return nil
	}
	items, bytes := []*item{first}, first.ref.Size
	first.active = true
	most, skipped := min(mostMany, 1+(len(j.refs)-j.done)/16), -1
	for len(items) < most {
		it := j.next(s)
		if it == nil {
			break
		}
		if !j.together(it) || bytes+it.ref.Size > wantBytes {
			if skipped < 0 {
				skipped = s.cursor
			}
			s.cursor++
			continue
		}
		it.active = true
		items, bytes = append(items, it), bytes+it.ref.Size
	}
	if skipped >= 0 {
		s.cursor = skipped
	}
	first.active = len(items) > 1
	return items
}

// together reports whether an item may be asked for together with others.
func (j *job) together(it *item) bool {
	return it.ref.Size <= smallBlob && it.part == nil && !j.insists(it)
}

func (j *job) startBatch(ctx context.Context, s *slot, items []*item) {
	b := &batch{f: j.f, peer: s.id, count: j.count}
	for _, it := range items {
		b.refs = append(b.refs, it.ref)
	}
	j.running++
	j.streams++
	go func() {
		err := b.run(ctx)
		j.f.leave(b.peer, b.got, ofPeer(ctx, err))
		j.events <- event{slot: s, items: items, batch: b, err: err}
	}()
}

// insists reports whether all who are present and could send a blob have sent it often enough, for so long that
// one has to send it all the same: those to whom they have sent it are gone. Whoever says that it has the blob,
// and neither sends it nor says that it was spent, is waited for no longer than longestHope.
func (j *job) insists(it *item) bool {
	if it.first.IsZero() || time.Since(it.first) <= j.f.insist {
		return false
	}
	hopes := it.since.IsZero() || time.Since(it.since) <= j.f.insist ||
		it.holders&j.here&^it.wrong&^it.spent&^it.failed != 0
	return !hopes || time.Since(it.first) > longestHope*j.f.insist
}

func (j *job) start(ctx context.Context, s *slot, it *item) {
	t := &transfer{f: j.f, peer: s.id, ref: it.ref, insist: j.insists(it), count: j.count}
	if it.part != nil {
		t.part, it.part = it.part, nil
		j.parts--
	}
	it.from |= s.bit
	t.mixed = ones(it.from) > 1
	it.active = true
	j.running++
	j.streams++
	go func() {
		err := t.run(ctx)
		j.f.leave(t.peer, t.got, ofPeer(ctx, err))
		j.events <- event{slot: s, item: it, part: t.part, got: t.got, err: err}
	}()
}

// ofPeer leaves out what comes of our own end.
func ofPeer(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Canceled
	}
	return err
}

// ask asks those peers what they have of whom there may be news.
func (j *job) ask(ctx context.Context) {
	now := time.Now()
	for _, s := range j.slots {
		if !s.present || s.asking || now.Before(j.due(s)) || !j.f.ready(s.id) || !j.wonders(s) {
			continue
		}
		s.asking = true
		s.last = now
		s.askedDone = j.done
		items := slices.DeleteFunc(slices.Clone(j.asked), func(it *item) bool { return it.done })
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
	return s.last.Add(s.interval * time.Duration(max(1, len(j.slots)/8)))
}

// hurry has the peers asked soon: somebody must have got a blob, or is just getting it.
func (j *job) hurry() {
	for _, s := range j.slots {
		s.interval = soonest
	}
}

// wonders reports whether there may be news of a peer: it was never asked, or there are many blobs about
// which it was not, or it could send something if it had it; or else from time to time, since others get
// blobs meanwhile.
func (j *job) wonders(s *slot) bool {
	return s.askedDone < 0 || s.idle || j.done-s.askedDone > len(j.asked)/2 || time.Since(s.last) > 2*latest
}
