package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	browsers    = 8
	balanceTime = 100 * time.Millisecond // between two looks of the balancer
	balanceWait = 800 * time.Millisecond // for the answer to one

	// A node that stops closes its port, and the connections that its visitors keep, when it was draining for quietTime without a
	// request: whoever was told longer ago that it is ready may meet it just then. So a look counts for balanceAge. What a visitor
	// sends later than quietTime after the look all the same, because it got no processor, may be lost.
	quietTime  = time.Second
	balanceAge = 700 * time.Millisecond
)

// load is a number of browsers at a farm, and the balancer that tells them which nodes are ready.
type load struct {
	farm     *farm
	seed     uint64
	browsers []*browser
	balancer *balancer
	door     *frontDoor // nil = browsers go to the nodes
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	tally    stats
	hurry    atomic.Int32 // who wants nobody to think between two requests
}

// load begins one, which goes on until its end is called.
func (f *farm) load() *load {
	f.t.Helper()
	l := f.newLoad()
	for _, n := range f.nodes {
		l.send(n)
	}
	l.begin()
	return l
}

// loadAt begins one whose browsers know one site only, and nothing of nodes.
func (f *farm) loadAt(s *frontDoor) *load {
	f.t.Helper()
	l := f.newLoad()
	l.door = s
	l.balancer.nodes = []*node{s.node(f)}
	l.begin()
	return l
}

func (f *farm) newLoad() *load {
	ctx, cancel := context.WithCancel(f.t.Context())
	l := &load{farm: f, seed: rand.Uint64(), ctx: ctx, cancel: cancel, balancer: &balancer{ready: make(map[*node]time.Time)}}
	l.tally.mark()
	return l
}

func (l *load) begin() {
	l.farm.t.Helper()
	for i := range browsers {
		l.browsers = append(l.browsers, newBrowser(l, i+1))
	}
	for _, b := range l.browsers {
		l.wg.Go(func() {
			if err := b.use(l.ctx); err != nil {
				l.tally.fail(err)
			}
		})
	}
	l.farm.t.Cleanup(l.halt)
	l.goOn()
}

// send has visitors sent to a node, too, when it is ready.
func (l *load) send(n *node) {
	l.balancer.mu.Lock()
	l.balancer.nodes = append(l.balancer.nodes, n)
	l.balancer.mu.Unlock()
	l.wg.Go(func() { l.balancer.follow(l.ctx, n) })
}

// halt ends the load without a judgement.
func (l *load) halt() {
	l.cancel()
	l.wg.Wait()
}

// goOn waits until the farm has acknowledged another hundred writes, which nobody thinks between.
func (l *load) goOn() {
	l.farm.t.Helper()
	l.more(100)
}

// more waits until the farm has acknowledged so many more writes.
func (l *load) more(writes int) {
	l.farm.t.Helper()
	l.hurry.Add(1)
	defer l.hurry.Add(-1)
	target := l.tally.acked() + writes
	l.farm.until("more writes", func() error {
		if n := l.tally.acked(); n < target && l.tally.broken() == nil {
			return fmt.Errorf("%d to go; requests failed: %s", target-n, l.tally.failed())
		}
		return nil
	})
}

// strike does something to the farm while as many requests as there are browsers are on their way, and begins a
// measurement.
func (l *load) strike(act func()) {
	l.farm.t.Helper()
	l.hurry.Add(1)
	defer l.hurry.Add(-1)
	l.goOn()
	l.tally.mark()
	act()
}

// think is a browser's pause between two requests.
func (l *load) think(ctx context.Context) {
	if l.hurry.Load() == 0 {
		sleep.For(ctx, thinkTime)
	}
}

// mark begins a measurement, and measured logs it: the longest time without an acknowledged write, and the longest that a
// visitor waited.
func (l *load) mark() { l.tally.mark() }

func (l *load) measured(what string) {
	l.farm.t.Helper()
	gap, slowest := l.tally.measured()
	l.farm.t.Logf("%s: no write acknowledged for %v; the longest wait for an answer, retries included, was %v",
		what, gap.Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// finish ends the load and checks, on all nodes, all that was promised to the browsers.
func (l *load) finish() {
	l.farm.t.Helper()
	l.goOn()
	l.halt()
	l.audit()
}

// audit checks what finish does, of a load that has ended.
func (l *load) audit() {
	t := l.farm.t
	t.Helper()
	if err := l.tally.broken(); err != nil {
		t.Errorf("seed %d: a promise was broken: %v", l.seed, err)
	}
	l.farm.settle()
	var wg sync.WaitGroup
	errs := make([]error, len(l.browsers))
	for i, b := range l.browsers {
		wg.Go(func() { errs[i] = b.audit() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("seed %d: %v", l.seed, err)
	}
	sessions := 0
	for _, b := range l.browsers {
		sessions += len(b.past)
	}
	t.Logf("%d writes in %d sessions were acknowledged; requests failed: %s", l.tally.acked(), sessions, l.tally.failed())
}

// balancer knows which nodes say that they are ready.
type balancer struct {
	mu    sync.Mutex
	nodes []*node             // guarded by mu
	ready map[*node]time.Time // when those were asked that said so last; guarded by mu
}

// follow asks a node whether it is ready, again and again, until ctx ends.
func (b *balancer) follow(ctx context.Context, n *node) {
	for ctx.Err() == nil {
		asked := time.Now()
		look, cancel := context.WithTimeout(ctx, balanceWait)
		err := n.ready(look)
		cancel()
		b.mu.Lock()
		if b.ready[n] = asked; err != nil {
			delete(b.ready, n)
		}
		b.mu.Unlock()
		sleep.For(ctx, balanceTime)
	}
}

// looked returns when the node was asked last, of the times that it said it was ready; now, if it says that it is not.
func (b *balancer) looked(n *node) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if asked, ready := b.ready[n]; ready {
		return asked
	}
	return time.Now()
}

// pick returns a random node of those that are ready, or of all of them if none is; if possible not the one before. If it was too
// long ago that they said so, as after a pause of this process, it waits for the next look, unless that takes too long as well.
func (l *load) pick(r *rand.Rand, before *node) *node {
	for end := time.Now().Add(balanceWait); ; sleep.For(l.ctx, retryTime/5) {
		n, fresh := l.pickNow(r, before)
		if fresh || l.ctx.Err() != nil || time.Now().After(end) {
			return n
		}
	}
}

func (l *load) pickNow(r *rand.Rand, before *node) (n *node, fresh bool) {
	l.balancer.mu.Lock()
	defer l.balancer.mu.Unlock()
	var good, old []*node
	for _, n := range l.balancer.nodes {
		switch asked, ready := l.balancer.ready[n]; {
		case ready && time.Since(asked) < balanceAge:
			good = append(good, n)
		case ready:
			old = append(old, n)
		}
	}
	fresh = len(good) > 0 || len(old) == 0
	if len(good) == 0 {
		good = old
	}
	if len(good) == 0 {
		good = slices.Clone(l.balancer.nodes)
	}
	if others := slices.DeleteFunc(slices.Clone(good), func(n *node) bool { return n == before }); len(others) > 0 {
		good = others
	}
	return good[r.IntN(len(good))], fresh
}

// stats are what the browsers of a load have met.
type stats struct {
	mu       sync.Mutex     // guards all below
	first    error          // broken promise
	writes   int            // acknowledged
	last     time.Time      // acknowledgement of a write
	gap      time.Duration  // the longest between two, since mark
	slowest  time.Duration  // answer, since mark
	failures map[string]int // requests, by kind
	broke    int            // requests that lost their connection or the node that worked on them
}

// done takes note of an answer to a request that began, with its first try, at the given time.
func (s *stats) done(method string, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.slowest = max(s.slowest, now.Sub(began))
	if method == http.MethodGet {
		return
	}
	s.writes++
	s.gap = max(s.gap, now.Sub(s.last))
	s.last = now
}

// failure takes note of a try that failed; broke says that it was cut off.
func (s *stats) failure(kind string, broke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if broke {
		s.broke++
	}
	if s.failures == nil {
		s.failures = make(map[string]int)
	}
	s.failures[kind]++
}

func (s *stats) cutOff() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broke
}

func (s *stats) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

func (s *stats) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

func (s *stats) acked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *stats) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.gap, s.slowest = time.Now(), 0, 0
}

func (s *stats) measured() (gap, slowest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap, s.slowest
}

func (s *stats) failed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) == 0 {
		return "none"
	}
	out := ""
	for _, kind := range slices.Sorted(maps.Keys(s.failures)) {
		out += fmt.Sprintf("%d %s; ", s.failures[kind], kind)
	}
	return out[:len(out)-2]
}
