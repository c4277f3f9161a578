package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// journal is what hooks have done, on all nodes.
type journal struct {
	mu    sync.Mutex
	lines []string
	open  map[string]int // hooks that have run and were neither committed nor aborted, by node
}

func (j *journal) say(format string, a ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, a...))
}

// take returns what was said since, sorted.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.Sort(j.lines)
	out := strings.Join(j.lines, ", ")
	j.lines = nil
	return out
}

// hook returns a hook that writes a journal, and counts. do, which may be nil, is called within prepare.
func (j *journal) hook(node string, do func(ctx context.Context, next *Site) error) configsync.Hook {
	add := func(n int) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.open == nil {
			j.open = map[string]int{}
		}
		j.open[node] += n
	}
	return site.OnPrepare(func(ctx context.Context, old, next *Site) (func(), func(), error) {
		if do != nil {
			if err := do(ctx, next); err != nil {
				return nil, nil, err
			}
		}
		what := fmt.Sprint(node, " ", old.Banner, "-", next.Banner)
		j.say("prepare %s", what)
		add(1)
		var once sync.Once
		end := func(how string) func() {
			return func() {
				first := false
				once.Do(func() { first = true })
				if !first {
					j.say("TWICE %s", what)
				}
				add(-1)
				j.say("%s %s", how, what)
			}
		}
		return end("commit"), end("abort"), nil
	})
}

func TestHooksCommit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{}
		l := newLab(t, 2, func(s *configsync.Settings) { s.Prepare = []configsync.Hook{j.hook(s.Node, nil)} })
		l.mustPublish("banner: a\n")
		j.mu.Lock()
		order := strings.Join(j.lines, ", ")
		j.mu.Unlock()
		if strings.LastIndex(order, "prepare") > strings.Index(order, "commit") { // the new is there before the old goes
			t.Errorf("committed before all were prepared: %s", order)
		}
		if got := j.take(); got != "commit n1 Welcome-a, commit n2 Welcome-a, prepare n1 Welcome-a, "+
			"prepare n2 Welcome-a" {
			t.Error(got)
		}
		l.mustPublish("# nothing else\nbanner: a\n")
		if got := j.take(); got != "" {
			t.Errorf("nothing has changed: %s", got)
		}
	})
}

// TestHooksAbort: whatever ends a rollout, what was prepared is undone.
func TestHooksAbort(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ctx context.Context, next *Site) error // on n2
		what func(l *lab)                                // while n2 prepares
		want string                                      // in the error
		then string                                      // in the journal
	}{
		"refused": {
			do:   func(context.Context, *Site) error { return errors.New("no port") },
			want: "n2: site: prepare: no port", then: "abort n1 a-b, prepare n1 a-b",
		},
		"much is said, and no UTF-8": {
			do: func(context.Context, *Site) error {
				return errors.New("no \xff port" + strings.Repeat("!", 10_000))
			},
			want: "n2: site: prepare: no \uFFFD port!!!!!", then: "abort n1 a-b, prepare n1 a-b",
		},
		"panic": {
			do:   func(context.Context, *Site) error { panic("oops") },
			want: "n2: site: prepare: panic: oops (hook_test.go:", then: "abort n1 a-b, prepare n1 a-b",
		},
		"hangs, and looks at its context": {
			do:   func(ctx context.Context, _ *Site) error { <-ctx.Done(); return ctx.Err() },
			want: "n2: site: prepare: ", then: "abort n1 a-b, prepare n1 a-b",
		},
		"hangs, and comes back late": {
			do:   func(context.Context, *Site) error { time.Sleep(20 * time.Second); return nil },
			want: "did not come back within 10s",
			then: "abort n1 a-b, abort n2 a-b, prepare n1 a-b, prepare n2 a-b",
		},
		"aborted by hand": {
			do: func(context.Context, *Site) error { time.Sleep(5 * time.Second); return nil },
			what: func(l *lab) {
				if err := l.nodes[1].manager.Abort(context.Background(), 2, "me", "changed my mind"); err != nil {
					t.Error(err)
				}
			},
			want: "changed my mind", then: "abort n1 a-b, abort n2 a-b, prepare n1 a-b, prepare n2 a-b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				j := &journal{}
				l := newLab(t, 2, func(s *configsync.Settings) {
					do := func(ctx context.Context, next *Site) error {
						if s.Node == "n2" && next.Banner == "b" {
							return c.do(ctx, next)
						}
						return nil
					}
					s.Prepare = []configsync.Hook{j.hook(s.Node, do)}
				})
				l.mustPublish("banner: a\n")
				j.take()
				was := l.nodes[0].manager.Status()
				if c.what != nil {
					time.AfterFunc(time.Second, func() { c.what(l) })
				}
				_, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n")
				if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := j.take(); got != c.then {
					t.Errorf("\n got %s\nwant %s", got, c.then)
				}
				l.want("a")
				if is := l.nodes[0].manager.Status(); is.Epoch != was.Epoch {
					t.Errorf("%+v, was %+v", is, was)
				}
				rs := l.nodes[0].manager.Releases()
				if last := rs[len(rs)-1]; !strings.Contains(last.Rejected, c.want) {
					t.Errorf("the release is not marked: %+v", last)
				}
			})
		})
	}
}

// TestHooksOfAVanishedRollout: a node has prepared, and its machine is replaced by one that knows nothing of
// the rollout; and another one is closed.
func TestHooksOfAVanishedRollout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{}
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Prepare = []configsync.Hook{j.hook(s.Node, func(_ context.Context, next *Site) error {
				if s.Node == "n3" && next.Banner == "b" {
					time.Sleep(5 * time.Second)
				}
				return nil
			})}
		})
		l.mustPublish("banner: a\n")
		j.take()
		old, applied := l.snapshot(l.nodes[1]), l.nodes[1].applied
		done := make(chan error)
		go func() {
			_, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n")
			done <- err
		}()
		time.Sleep(time.Second)
		l.set(func() {
			l.nodes[1].deaf = true
			l.nodes[1].fresh(old, applied)
		})
		time.Sleep(2 * time.Second) // nobody says that a machine was replaced
		synctest.Wait()
		if got := j.take(); got != "abort n2 a-b, prepare n1 a-b, prepare n2 a-b" {
			t.Error(got)
		}
		l.nodes[1].muffle(false)
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.nodes[1].manager.AwaitUsable(t.Context())
		l.want("b")
		synctest.Wait()
		if got := j.take(); got != "commit n1 a-b, commit n2 a-b, commit n3 a-b, prepare n2 a-b, prepare n3 a-b" {
			t.Error(got)
		}
	})
}

// TestHooksOfALateNode: it was away, and prepares when it comes back, from what it had.
func TestHooksOfALateNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j, fails := &journal{}, 2
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Prepare = []configsync.Hook{j.hook(s.Node, func(context.Context, *Site) error {
				if s.Node == "n3" && fails > 0 {
					fails--
					return errors.New("not yet")
				}
				return nil
			})}
		})
		l.nodes[2].cutOff(true)
		l.mustPublish("banner: a\n")
		l.mustPublish("banner: b\n")
		n3 := l.nodes[2]
		n3.cutOff(false)
		if err := n3.manager.Usable(); !errors.Is(err, configsync.ErrBehind) || n3.banner() == "b" {
			t.Errorf("%v, it shows %s", err, n3.banner())
		}
		if st := n3.manager.Status(); st.Uses != 0 || !strings.Contains(st.Problem, "prepare: not yet") {
			t.Errorf("%+v", st)
		}
		if err := n3.manager.AwaitUsable(t.Context()); err != nil {
			t.Error(err)
		}
		l.want("b")
		if got := j.take(); !strings.HasSuffix(got, "prepare n3 Welcome-b") || !strings.Contains(got,
			"commit n3 Welcome-b") || strings.Contains(got, "n3 Welcome-a") {
			t.Error(got)
		}
	})
}
