package configsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// order is the order in which answers begin, anywhere.
type order struct {
	mu      sync.Mutex
	newest  int // release that was shown; guarded by mu, and so is what follows
	backs   int // answers from an older one after that
	answers int
}

// shown notes an answer from the release that shows a number.
func (o *order) shown(banner string) {
	n, _ := strconv.Atoi(banner)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers++
	if n < o.newest {
		o.backs++
	}
	o.newest = max(o.newest, n)
}

// serve has a node answer a request as a farm does: the answer begins when work is done. It returns what was shown.
func (n *labNode) serve(ctx context.Context, work func()) (banner string, err error) {
	n.lab.mu.Lock()
	m := n.manager
	n.lab.mu.Unlock()
	if m == nil {
		return "", configsync.ErrClosed
	}
	if err := m.Enter(ctx); err != nil {
		return "", err
	}
	defer m.Answered()
	if err := m.Usable(); err != nil {
		return "", err
	}
	seen := m.Context(ctx)
	work()
	return site.Get(seen).Banner, nil
}

// hammer has clients ask all nodes, each the next one, until ctx ends.
func (l *lab) hammer(ctx context.Context, o *order, clients int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; ctx.Err() == nil; i++ {
				n := l.nodes[i%len(l.nodes)]
				n.serve(ctx, func() { // the answer begins within, and so before it is counted as answered
					banner := site.Get(n.manager.Context(ctx)).Banner
					time.Sleep(time.Duration(c%7) * time.Millisecond)
					o.shown(banner)
				})
				time.Sleep(time.Millisecond)
			}
		})
	}
	return &wg
}

// TestStrictOrder has clients hammer five nodes whose logs lag behind by different times, while releases are put in
// force. By one common order nobody is shown the old release after the new one; and without Strict, some are.
func TestStrictOrder(t *testing.T) {
	for name, plan := range map[string]configsync.Plan{"strict": {Strict: 5 * time.Second}, "fast": {}} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newLab(t, 5, nil)
				for i, n := range l.nodes {
					n.lag = time.Duration(i) * 13 * time.Millisecond
				}
				ctx, stop := context.WithCancel(t.Context())
				var o order
				wg := l.hammer(ctx, &o, 30)
				for i := range 20 {
					n := l.nodes[i%5]
					if _, err := n.publish(plan, "site.yaml", fmt.Sprintf("banner: %q\n", strconv.Itoa(i+1))); err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				stop()
				wg.Wait()
				if o.newest != 20 || o.answers < 1000 || (o.backs > 0) != (name == "fast") {
					t.Errorf("%d answers, the last from %d; %d from an old release after a new one", o.answers, o.newest, o.backs)
				}
			})
		})
	}
}

// strictLab is a lab in which n3 has a request that is not answered until end is called, and a Strict rollout by n2
// waits for that, for 10 s at most.
type strictLab struct {
	*lab
	end  func()
	done chan error // of the rollout
}

func newStrictLab(t *testing.T) *strictLab {
	l := &strictLab{lab: newLab(t, 3, nil), done: make(chan error, 1)}
	if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: \"1\"\n"); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	l.end = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(l.end)
	go l.nodes[2].serve(t.Context(), func() { <-gate })
	synctest.Wait()
	go func() {
		_, err := l.nodes[1].publish(configsync.Plan{Strict: 10 * time.Second, Confirm: -1}, "site.yaml", "banner: \"2\"\n")
		l.done <- err
	}()
	time.Sleep(time.Second)
	synctest.Wait()
	if id, _ := l.nodes[0].local().State().Frozen(); id != 2 {
		t.Fatalf("rollout %d is frozen", id)
	}
	return l
}

// asks has a node asked; what comes of it is told, and whether that has come yet.
func (l *strictLab) asks(n *labNode) func() string {
	var mu sync.Mutex
	out := "held"
	go func() {
		banner, err := n.serve(context.Background(), func() {})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, configsync.ErrHeld):
			out = "given up"
		case errors.Is(err, configsync.ErrBehind):
			out = "behind"
		case err != nil:
			out = err.Error()
		default:
			out = banner
		}
	}()
	synctest.Wait()
	return func() string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return out
	}
}

func (l *strictLab) is(what string, got func() string, want string) {
	l.t.Helper()
	if now := got(); now != want {
		l.t.Errorf("%s: %q, want %q", what, now, want)
	}
}

// ends waits for the rollout.
func (l *strictLab) ends(text string) {
	l.t.Helper()
	switch err := <-l.done; {
	case text == "" && err == nil:
	case text == "" || !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), text):
		l.t.Errorf("%v, want %q", err, text)
	}
}

// Requests are held by all nodes until the last answer from the old release has begun, and then see the new one.
func TestStrictHolds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newStrictLab(t)
		first, last := l.asks(l.nodes[0]), l.asks(l.nodes[2])
		time.Sleep(8 * time.Second)
		l.is("n1", first, "held")
		l.is("n3", last, "held")
		l.end()
		l.ends("")
		l.is("n1", first, "2")
		l.is("n3", last, "2")
		l.want("2")
	})
}

// What does not end in time is given up by the log, and all go on with the release before. Then it can be begun again.
func TestStrictTakesTooLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newStrictLab(t)
		first := l.asks(l.nodes[0])
		l.ends("requests were held for 10s, which was not enough: n3: 1 request has no answer yet")
		l.is("n1", first, "1")
		l.want("1")
		l.end()
		r := l.nodes[0].local().State().Newest()
		if rel, _ := l.nodes[0].local().State().Release(r.Release); rel.Rejected != "" || r.By == "" {
			t.Errorf("%+v, %+v", rel, r)
		}
		w := configsync.Write{Epoch: 1}
		again := configsync.Plan{Strict: time.Second}
		if _, err := l.nodes[2].manager.Activate(t.Context(), w, r.Release, again); err != nil {
			t.Error(err)
		}
		l.want("2")
		if n, err := l.nodes[0].manager.RollbackPlan(t.Context(), configsync.Write{Epoch: 2}, 1,
			configsync.Plan{Strict: time.Second}); err != nil || n != 3 {
			t.Error(n, err)
		}
		l.want("1")
		if n, err := l.nodes[1].manager.Put(t.Context(), configsync.Change{Write: configsync.Write{Epoch: 3},
			Set: configsync.Files{"site.yaml": "banner: \"3\"\n"}, Strict: time.Second}); err != nil || n != 4 {
			t.Error(n, err)
		}
		if r := l.nodes[0].local().State().Newest(); r.Frozen.IsZero() {
			t.Errorf("%+v", r)
		}
		l.want("3")
		l.nodes[1].cutOff(true)
		if _, err := l.nodes[0].manager.Put(t.Context(), configsync.Change{Write: configsync.Write{Epoch: 4},
			Set: configsync.Files{"site.yaml": "banner: 4\n"}, Strict: time.Second}); !errors.Is(err, configsync.ErrRefused) {
			t.Error(err)
		}
		l.nodes[1].cutOff(false)
	})
}

// A node that is lost within the hold ends it; what others hold goes on with the old release, and what the lost node
// holds goes on with nothing.
func TestStrictNodeIsLost(t *testing.T) {
	for name, lose := range map[string]func(l *strictLab){
		"cut off": func(l *strictLab) { l.nodes[1].cutOff(true) },
		"killed":  func(l *strictLab) { l.nodes[1].stop() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newStrictLab(t)
				first, second := l.asks(l.nodes[0]), l.asks(l.nodes[1])
				lose(l)
				time.Sleep(time.Second)
				l.is("n1", first, "1")
				if name == "cut off" {
					l.is("n2", second, "held")
					time.Sleep(10 * time.Second)
					l.is("n2", second, "given up")
					l.is("n2, later", l.asks(l.nodes[1]), "given up")
					l.nodes[1].cutOff(false)
				} else {
					l.nodes[1].start()
				}
				time.Sleep(2 * time.Second)
				l.end()
				l.is("n2, back", l.asks(l.nodes[1]), "1")
				<-l.done
				l.want("1")
			})
		})
	}
}

// A node that has said that it holds, and hears nothing more, shows the old release to nobody, whatever the others do.
func TestStrictDeaf(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newStrictLab(t)
		second := l.asks(l.nodes[1])
		l.nodes[1].muffle(true)
		l.end()
		time.Sleep(2 * time.Second)
		l.is("n1", l.asks(l.nodes[0]), "2")
		l.is("n2", second, "held")
		time.Sleep(10 * time.Second)
		l.is("n2", second, "given up")
		l.is("n2, later", l.asks(l.nodes[1]), "given up")
		l.nodes[1].muffle(false)
		time.Sleep(2 * time.Second)
		l.is("n2, back", l.asks(l.nodes[1]), "2")
		<-l.done
	})
}

// A node that is started again after it has said that it holds, holds again: the freeze is in its log, or its snapshot.
func TestStrictRestart(t *testing.T) {
	for name, from := range map[string]func(n *labNode){
		"log": func(n *labNode) { n.start() },
		"snapshot": func(n *labNode) {
			var b bytes.Buffer
			n.local().Snapshot().WriteTo(&b)
			n.lab.mu.Lock()
			applied := n.applied
			n.lab.mu.Unlock()
			n.startFrom(b.Bytes(), applied)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newStrictLab(t)
				n := l.nodes[0] // who leads, too
				n.stop()
				from(n)
				first := l.asks(n)
				time.Sleep(time.Second)
				l.is("n1", first, "held")
				l.end()
				l.ends("")
				if got := first(); got == "1" || got == "held" {
					t.Errorf("in the end n1 shows %q", got)
				}
				time.Sleep(time.Second)
				l.want("2")
			})
		})
	}
}

// What cannot be promised is refused before anything is in the log.
func TestStrictRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		begin := func(change func(*configsync.Publication)) error {
			p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: new\n"}}
			p.Plan.Strict = time.Second
			change(&p)
			_, err := l.nodes[0].manager.Publish(t.Context(), p)
			return err
		}
		nothing := func(*configsync.Publication) {}
		for want, change := range map[string]func(*configsync.Publication){
			"a canary":           func(p *configsync.Publication) { p.Plan.Nodes = []string{"n1"} },
			"see what was":       func(p *configsync.Publication) { p.Plan.Percent = 10 },
			"a dry run":          func(p *configsync.Publication) { p.Plan.Dry = true },
			"kept for later":     func(p *configsync.Publication) { p.Hold = true },
			"Fence":              func(p *configsync.Publication) { p.Plan.Unreachable = configsync.Fence },
			"and not for 11s":    func(p *configsync.Publication) { p.Plan.Strict = 11 * time.Second },
			"and not for -1s":    func(p *configsync.Publication) { p.Plan.Strict = -time.Second },
			"knows no Strict":    func(*configsync.Publication) { l.set(func() { l.nodes[2].older = true }) },
			"serve: n2; start":   func(*configsync.Publication) { l.nodes[1].cutOff(true) },
			"not seen so far, a": func(*configsync.Publication) { l.set(func() { l.unseen = []string{"n9"} }) },
		} {
			if err := begin(change); err == nil || !strings.Contains(err.Error(), want) || len(l.log) > 0 {
				t.Errorf("%s: %v, %d entries", want, err, len(l.log))
			}
			l.nodes[1].cutOff(false)
			l.set(func() { l.unseen, l.nodes[2].older = nil, false })
		}
		if err := begin(nothing); err != nil {
			t.Error(err)
		}
		l.want("new")
	})
}

// A node that is cut off does not say of a write that nothing has changed: the write may be one that is repeated, and its
// rollout under way.
func TestStrictWhereNothingIsHeard(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.nodes[1].cutOff(true)
		m := l.nodes[1].manager
		for what, write := range map[string]func(configsync.Write) error{
			"Put": func(w configsync.Write) error {
				_, err := m.Put(t.Context(), configsync.Change{Write: w, Strict: time.Second})
				return err
			},
			"Activate": func(w configsync.Write) error {
				_, err := m.Activate(t.Context(), w, 1, configsync.Plan{Strict: time.Second})
				return err
			},
			"Publish": func(w configsync.Write) error {
				_, err := m.Publish(t.Context(), configsync.Publication{Write: w, Plan: configsync.Plan{Strict: time.Second}})
				return err
			},
		} {
			if err := write(configsync.Write{Key: "k"}); err == nil || errors.Is(err, configsync.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// Nobody is asked to hold requests once a member is away: it was there when the rollout began.
func TestStrictMemberGoesBefore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.vote = func(*configsync.Vote) { l.unseen = []string{"n9"} } // the lab is locked
		_, err := l.nodes[0].publish(configsync.Plan{Strict: time.Second}, "site.yaml", "banner: new\n")
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), "n9") {
			t.Error(err)
		}
		if r := l.nodes[0].local().State().Newest(); !r.Frozen.IsZero() {
			t.Errorf("%+v", r)
		}
	})
}
