package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestPublishSwitchesAllNodes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		for i, banner := range []string{"one", "two", "three"} {
			r, err := l.nodes[i].publish(configsync.Plan{}, "site.yaml", "banner: "+banner+"\n")
			if err != nil || r.Epoch != uint64(i+1) || r.Release != r.Epoch || r.Rollout != r.Epoch {
				t.Fatalf("%+v %v", r, err)
			}
			l.want(banner)
		}
		if l.together != 3 {
			t.Errorf("%d of 3 switches were proposed together", l.together)
		}
		p, err := l.nodes[1].manager.Rollout(0)
		if r := p.Rollout; err != nil || r.Phase != configsync.PhaseDone || strings.Join(r.Ready, " ") != "n1 n2 n3" ||
			len(r.Unconfirmed) != 0 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// TestOneRefusalChangesNothing: one node's program does not know a field.
func TestOneRefusalChangesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		type Older struct{ Banner string }
		older := configsync.NewConfig("site", Older{})
		l := newLab(t, 3, func(s *configsync.Settings) {
			if s.Node == "n3" {
				s.Configs = []configsync.Declared{older, other}
			}
		})
		l.nodes[2].stop()
		l.nodes = l.nodes[:2]
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: one\n"); err != nil {
			t.Fatal(err)
		}
		n3 := &labNode{lab: l, name: "n3", settings: func(s *configsync.Settings) {
			s.Configs = []configsync.Declared{older, other}
		}}
		l.nodes = append(l.nodes, n3)
		n3.start()
		t.Cleanup(n3.stop)
		r, err := l.nodes[1].publish(configsync.Plan{}, "site.yaml", "banner: two\nlimits: {max: 3}\n")
		if !errors.Is(err, configsync.ErrRefused) || r.Epoch != 1 ||
			!strings.Contains(err.Error(), "n3: site.yaml:2:1: limits: unknown field") {
			t.Errorf("%+v %v", r, err)
		}
		for _, n := range l.nodes[:2] {
			if n.banner() != "one" || n.manager.Usable() != nil {
				t.Errorf("%s shows %s", n.name, n.banner())
			}
		}
		if got := older.Get(n3.manager.Context(context.Background())).Banner; got != "one" {
			t.Error(got)
		}
	})
}

// mustPublish publishes site.yaml by the first node.
func (l *lab) mustPublish(text string) configsync.Result {
	l.t.Helper()
	r, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", text)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// last returns the newest rollout.
func (l *lab) last() configsync.Rollout {
	all := l.nodes[0].manager.Rollouts()
	return all[len(all)-1]
}

// TestUnreachable: what a rollout does about a node that is away.
func TestUnreachable(t *testing.T) {
	for name, c := range map[string]struct {
		plan  configsync.Plan
		cut   []int
		back  time.Duration // when they come back; 0 = never
		takes time.Duration // at least, and not much more
		want  string        // in the error; "" = it is done
		ready string
	}{
		"proceed": {cut: []int{2}, ready: "n1 n2|n3"},
		"wait":    {cut: []int{2}, plan: configsync.Plan{Wait: time.Minute}, takes: time.Minute, ready: "n1 n2|n3"},
		"comes back": {cut: []int{2}, plan: configsync.Plan{Wait: time.Minute}, back: 20 * time.Second,
			takes: 20 * time.Second, ready: "n1 n2 n3|"},
		"refuse": {cut: []int{2}, plan: configsync.Plan{Unreachable: configsync.Refuse},
			want: "cannot be reached: n3"},
		"fence": {cut: []int{2}, plan: configsync.Plan{Unreachable: configsync.Fence}, takes: 10 * time.Second,
			ready: "n1 n2|n3"},
		"no majority": {cut: []int{1, 2}, want: "1 of the 2 nodes that are needed are ready"},
		"one will do": {cut: []int{1, 2}, plan: configsync.Plan{MinReady: 1}, ready: "n1|n2 n3"},
		"all":         {cut: []int{2}, plan: configsync.Plan{MinReady: 3}, want: "2 of the 3 nodes that are needed are ready"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newLab(t, 3, nil)
				l.mustPublish("banner: a\n")
				for _, i := range c.cut {
					l.nodes[i].cutOff(true)
					if c.back > 0 {
						time.AfterFunc(c.back, func() { l.nodes[i].cutOff(false) })
					}
				}
				begun := time.Now()
				_, err := l.nodes[0].publish(c.plan, "site.yaml", "banner: b\n")
				if took := time.Since(begun); took < c.takes || took > c.takes+3*time.Second {
					t.Errorf("it took %v", took)
				}
				r := l.last()
				if c.want != "" {
					if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), c.want) {
						t.Errorf("got %v, want %s", err, c.want)
					}
				} else if got := strings.Join(r.Ready, " ") + "|" + strings.Join(r.Unconfirmed, " "); err != nil ||
					got != c.ready {
					t.Errorf("%v, %s", err, got)
				}
				for _, n := range l.nodes {
					n.cutOff(false)
					n.manager.AwaitUsable(t.Context())
				}
				l.want(map[bool]string{true: "a", false: "b"}[c.want != ""])
			})
		})
	}
}

// TestNotReadyInTime: a node that can be reached and does not become ready holds the release up, until its time
// is over.
func TestNotReadyInTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.mustPublish("banner: a\n")
		l.nodes[2].muffle(true) // it never hears of the rollout
		_, err := l.nodes[0].publish(configsync.Plan{Stage: time.Minute}, "site.yaml", "banner: b\n")
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), "not ready within 1m0s: n3") {
			t.Error(err)
		}
		l.nodes[2].muffle(false)
		l.want("a")
	})
}

// TestConfirmWindow: nodes that are not well after the switch have the farm go back.
func TestConfirmWindow(t *testing.T) {
	type check func(node, banner string, since time.Duration) error
	bad := errors.New("GET /: 500")
	for name, c := range map[string]struct {
		plan  configsync.Plan
		check check
		cut   bool          // n2 and n3 are away after the switch
		takes time.Duration // at least, and at most 3 s more
		want  string        // why it was taken back; "" = it was not
	}{
		"well": {check: func(string, string, time.Duration) error { return nil }},
		"slow": {takes: 2 * time.Second, check: func(_, _ string, since time.Duration) error {
			if since < 2*time.Second {
				return bad
			}
			return nil
		}},
		"one is not well": {want: "not well: n2: self-check: GET /: 500", takes: 2 * time.Second,
			check: func(node, _ string, _ time.Duration) error {
				if node == "n2" {
					return bad
				}
				return nil
			}},
		"panic": {want: "not well: n3: self-check: panic: oops", takes: 2 * time.Second,
			check: func(node, _ string, _ time.Duration) error {
				if node == "n3" {
					panic("oops")
				}
				return nil
			}},
		"baked": {plan: configsync.Plan{Confirm: time.Minute, Bake: 30 * time.Second}, takes: 30 * time.Second,
			check: func(string, string, time.Duration) error { return nil }},
		"not well while baked": {plan: configsync.Plan{Confirm: time.Minute, Bake: 30 * time.Second},
			takes: 22 * time.Second, want: "not well: n1: self-check: GET /: 500",
			check: func(node, _ string, since time.Duration) error {
				if node == "n1" && since >= 20*time.Second {
					return bad
				}
				return nil
			}},
		"not heard": {cut: true, want: "not heard after the switch: n2, n3: no answer",
			takes: 10 * time.Second, check: func(string, string, time.Duration) error { return nil }},
		"not asked": {plan: configsync.Plan{Confirm: -1},
			check: func(string, string, time.Duration) error { return bad }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var l *lab
				var switched time.Time
				l = newLab(t, 3, func(s *configsync.Settings) {
					node := s.Node
					s.SelfCheck = func(context.Context) error {
						l.mu.Lock()
						m, since := l.node(node).manager, time.Since(switched)
						l.mu.Unlock()
						banner := site.Get(m.Context(context.Background())).Banner
						if banner != "b" {
							return nil
						}
						return c.check(node, banner, since)
					}
				})
				l.mustPublish("banner: a\n")
				watch := func(n *labNode) {
					if n.machine.State().Current().Number == 2 && switched.IsZero() {
						switched = time.Now()
						for _, o := range l.nodes[1:] {
							o.cut = c.cut
						}
					}
				}
				l.set(func() { l.watch = watch })
				r, err := l.nodes[0].publish(c.plan, "site.yaml", "banner: b\n")
				if took := time.Since(switched); took < c.takes || took > c.takes+3*time.Second {
					t.Errorf("it took %v", took)
				}
				for _, n := range l.nodes {
					n.cutOff(false)
					n.manager.AwaitUsable(t.Context())
				}
				if c.want == "" {
					if err != nil || r.Epoch != 2 {
						t.Errorf("%+v %v", r, err)
					}
					l.want("b")
					return
				}
				if !errors.Is(err, configsync.ErrReturned) || !strings.Contains(err.Error(), c.want) || r.Epoch != 3 {
					t.Errorf("%+v %v", r, err)
				}
				l.want("a")
				m := l.nodes[0].manager
				if e := m.Epochs(); !e[1].Failed || e[2].Release != e[0].Release || !strings.Contains(e[2].Why, c.want) {
					t.Errorf("%+v", e)
				}
				if got := m.Releases()[1].Rejected; !strings.Contains(got, c.want) {
					t.Errorf("rejected: %q", got)
				}
			})
		})
	}
}

func (l *lab) node(name string) *labNode {
	for _, n := range l.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// TestAbortByHand takes back what was switched and is not confirmed.
func TestAbortByHand(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.mustPublish("banner: a\n")
		time.AfterFunc(10*time.Second, func() {
			if err := l.nodes[2].manager.Abort(context.Background(), 2, "me", "looks wrong"); err != nil {
				t.Error(err)
			}
		})
		_, err := l.nodes[1].publish(configsync.Plan{Confirm: time.Minute, Bake: time.Minute}, "site.yaml",
			"banner: b\n")
		if !errors.Is(err, configsync.ErrReturned) || !strings.Contains(err.Error(), "looks wrong") {
			t.Error(err)
		}
		l.want("a")
		for _, id := range []uint64{0, 2, 99} {
			if err := l.nodes[0].manager.Abort(t.Context(), id, "me", "again"); !errors.Is(err, configsync.ErrEnded) {
				t.Error(err)
			}
		}
	})
}

// TestOneAtATime: of two who publish at once one is busy, and who looked before the switch is in conflict.
func TestOneAtATime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.mustPublish("banner: a\n")
		errs := make(chan error)
		for i, banner := range []string{"b", "c"} {
			go func() {
				_, err := l.nodes[i].publish(configsync.Plan{Confirm: time.Minute, Bake: time.Second}, "site.yaml",
					"banner: "+banner+"\n")
				errs <- err
			}()
		}
		first, second := <-errs, <-errs
		if !errors.Is(first, configsync.ErrBusy) || !strings.Contains(first.Error(), "rollout 2") || second != nil {
			t.Errorf("%v, %v", first, second)
		}
		late := configsync.Publication{Config: configsync.Files{}}
		late.Epoch = 1
		if r, err := l.nodes[2].manager.Publish(t.Context(), late); !errors.Is(err, configsync.ErrConflict) ||
			r.Epoch != 2 {
			t.Errorf("%+v %v", r, err)
		}
		l.want(l.nodes[0].banner())
	})
}

// TestLeaderDies: at whatever step who leads stops, another one carries the rollout on.
func TestLeaderDies(t *testing.T) {
	for commands := 2; commands <= 4; commands++ { // that were applied when it stops: proposed, activated, confirmed
		t.Run(fmt.Sprint(commands), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := newLab(t, 3, nil)
				before := len(l.log)
				l.set(func() {
					l.watch = func(n *labNode) {
						if n == l.nodes[0] && n.applied == before+commands-1 {
							n.cut = true
						}
					}
				})
				go l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n")
				time.Sleep(time.Minute)
				l.nodes[0].cutOff(false)
				l.nodes[0].manager.AwaitUsable(t.Context())
				if r := l.last(); r.Phase != configsync.PhaseDone || r.Epoch != 1 {
					t.Errorf("%+v", r)
				}
				l.want("b")
			})
		})
	}
}

// TestNeedsANewerProgram: a node with an older one refuses, and says so; one that comes with it is not usable.
func TestNeedsANewerProgram(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Program = map[string]string{"n1": "1.4.0", "n2": "v1.5.0-rc1", "n3": "1.3.9"}[s.Node]
		})
		p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: b\n"}}
		p.Program = "1.4.0"
		if _, err := l.nodes[0].manager.Publish(t.Context(), p); !errors.Is(err, configsync.ErrRefused) ||
			!strings.Contains(err.Error(), "nothing has changed: n3: the release needs version 1.4.0 of the program; this is 1.3.9") {
			t.Error(err)
		}
		l.want("Welcome")
		l.nodes[2].cutOff(true)
		if _, err := l.nodes[0].manager.Publish(t.Context(), p); err != nil {
			t.Error(err)
		}
		l.nodes[2].cutOff(false)
		time.Sleep(time.Minute)
		if err := l.nodes[2].manager.Usable(); err == nil || !strings.Contains(err.Error(), "needs version 1.4.0") {
			t.Error(err)
		}
		p.Program = "one"
		if _, err := l.nodes[0].manager.Publish(t.Context(), p); err == nil || !strings.Contains(err.Error(),
			`"one" is no version`) {
			t.Error(err)
		}
	})
}

func TestCanary(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		m := l.nodes[0].manager
		l.mustPublish("banner: a\n")
		held := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: b\n"}, Hold: true}
		held.Epoch = 1
		r, err := m.Publish(t.Context(), held)
		if err != nil || r.Rollout != 0 || r.Release != 2 {
			t.Fatalf("%+v %v", r, err)
		}
		l.want("a")
		w := configsync.Write{Epoch: 1, Who: "me"}
		if _, err := m.StartCanary(t.Context(), w, 2, []string{"n2", "n9"}, configsync.Plan{}); err == nil ||
			!strings.Contains(err.Error(), `"n9" is no member`) {
			t.Error(err)
		}
		if _, err := m.StartCanary(t.Context(), w, 1, []string{"n2"}, configsync.Plan{}); err == nil ||
			!strings.Contains(err.Error(), "release 1 is in force, on all nodes") {
			t.Error(err)
		}
		held.Hold, held.Plan.Nodes = false, []string{"n9"}
		if _, err := m.Publish(t.Context(), held); err == nil || !strings.Contains(err.Error(), "there are: n1, n2, n3") {
			t.Error(err)
		}
		for range 2 {
			if _, err := m.StartCanary(t.Context(), w, 2, []string{"n2"}, configsync.Plan{}); err != nil {
				t.Fatal(err)
			}
			if st := l.nodes[1].manager.Status(); l.nodes[1].banner() != "b" || !st.Canary || st.Release != 2 ||
				st.Epoch != 1 || l.nodes[0].banner() != "a" || l.nodes[2].banner() != "a" {
				t.Errorf("%+v", st)
			}
			if err := tryPut(m, "site.yaml", "banner: c\n"); !errors.Is(err, configsync.ErrBusy) ||
				!strings.HasSuffix(err.Error(), "release 2 is a canary on n2, and has to be activated or given up first: "+
					"farmctl activate 2, or farmctl canary end") {
				t.Error(err)
			}
			if err := m.EndCanary(t.Context(), m.Canary().Rollout, "me", "seen enough"); err != nil {
				t.Error(err)
			}
			l.want("a")
		}
		if _, err := m.StartCanary(t.Context(), w, 2, []string{"n2"}, configsync.Plan{}); err != nil {
			t.Fatal(err)
		}
		if r, err := m.Activate(t.Context(), w, 2, configsync.Plan{}); err != nil || r.Epoch != 2 {
			t.Errorf("%+v %v", r, err)
		}
		if m.Canary().Rollout != 0 {
			t.Error("there is a canary still")
		}
		l.want("b")
	})
}

// TestDryRun: every node says what it would say, and nothing is left of it.
func TestDryRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{}
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Prepare = []configsync.Hook{j.hook(s.Node, func(_ context.Context, next *Site) error {
				if s.Node == "n3" && next.Banner == "bad" {
					return errors.New("no port")
				}
				return nil
			})}
		})
		l.mustPublish("banner: a\n")
		j.take()
		m := l.nodes[1].manager // it does not lead
		p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: b\nlisten: \":9\"\n"}}
		p.Epoch = 1
		r, err := m.DryRun(t.Context(), p)
		if err != nil || r.Refused != "" || len(r.Nodes) != 3 || r.Nodes[2].Step != configsync.StepReady ||
			len(r.Differences) != 2 || !slices.Equal(r.Restart, []string{"site.listen"}) || r.Epoch != 1 {
			t.Errorf("%+v %v", r, err)
		}
		p.Config["site.yaml"] = "banner: bad\n"
		if r, err = m.DryRun(t.Context(), p); err != nil || r.Refused != "n3: site: prepare: no port" ||
			r.Nodes[0].Step != configsync.StepReady || r.Nodes[2].Refused != "site: prepare: no port" {
			t.Errorf("%+v %v", r, err)
		}
		synctest.Wait()
		if got := j.take(); strings.Contains(got, "commit") || strings.Count(got, "abort") != 5 {
			t.Error(got)
		}
		l.want("a")
		if rs := m.Releases(); len(rs) != 1 {
			t.Errorf("releases are left: %+v", rs)
		}
		if all := m.Rollouts(); len(all) != 3 || all[2].Reason != "n3: site: prepare: no port" {
			t.Errorf("%+v", all)
		}
		p.Config["site.yaml"] = "banner: a\n"
		if r, err = m.DryRun(t.Context(), p); err != nil || r.Rollout != 0 {
			t.Errorf("%+v %v", r, err)
		}
		// Who has begun one dies.
		l.nodes[2].muffle(true)
		p.Config["site.yaml"], p.Plan.Stage = "banner: d\n", time.Minute
		go m.DryRun(context.Background(), p)
		time.Sleep(time.Second)
		l.nodes[1].cutOff(true)
		time.Sleep(2 * time.Minute)
		if r := l.last(); r.Phase != configsync.PhaseAborted || r.ID != 4 {
			t.Errorf("%+v", r)
		}
		l.nodes[1].cutOff(false)
		l.nodes[2].muffle(false)
		l.want("a")
	})
}

// TestFollowRollout: who leads knows how far all are.
func TestFollowRollout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 2, nil)
		l.nodes[1].muffle(true)
		go l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n")
		time.Sleep(time.Second)
		time.AfterFunc(time.Second, func() { l.nodes[1].muffle(false) })
		var got []string
		for p := range l.nodes[0].manager.FollowRollout(t.Context(), 1) {
			line := fmt.Sprint(p.Rollout.Phase)
			for _, n := range p.Nodes {
				line += fmt.Sprint(" ", n.Node, " ", n.Step)
			}
			if len(got) == 0 || got[len(got)-1] != line {
				got = append(got, line)
			}
		}
		if got[0] != "staging n1 ready n2 missing" || got[len(got)-1] != "done n1 confirmed n2 confirmed" {
			t.Errorf("%q", got)
		}
	})
}

// TestVoteForSomethingElse: a member whose state is another, which must not be, holds the release up.
func TestVoteForSomethingElse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 2, nil)
		l.set(func() {
			l.vote = func(v *configsync.Vote) {
				if v.Node == "n2" {
					v.Digest[0]++
				}
			}
		})
		_, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n")
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(),
			"n2: it has made something else ready") {
			t.Error(err)
		}
		l.want("Welcome")
	})
}

// TestContentIsStagedFirst: a node that cannot have the content refuses; with a program that takes none, all do.
func TestContentIsStagedFirst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 2, nil)
		p := configsync.Publication{Content: &configsync.Content{Root: blob.Sum(nil), Size: 1, Files: 1}}
		if _, err := l.nodes[0].manager.Publish(t.Context(), p); !errors.Is(err, configsync.ErrRefused) ||
			!strings.Contains(err.Error(), "n1, n2: content: this program takes none") {
			t.Error(err)
		}
		l.want("Welcome")
	})
}

// TestSameContentIsNoNewRelease: who publishes again what is there makes nothing.
func TestSameContentIsNoNewRelease(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 2, nil)
		first := l.mustPublish("banner: a\n")
		if again := l.mustPublish("banner: a\n"); again.Rollout != 0 || again.Epoch != 1 ||
			again.Release != first.Release {
			t.Errorf("%+v", again)
		}
		l.mustPublish("banner: b\n")
		if again := l.mustPublish("banner: a\n"); again.Epoch != 3 || again.Release != first.Release {
			t.Errorf("%+v", again)
		}
		// With the key of the write, an outcome that was lost is found.
		p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: c\n"}}
		p.Epoch, p.Key = 3, "key"
		for range 2 {
			if r, err := l.nodes[1].manager.Publish(t.Context(), p); err != nil || r.Epoch != 4 || r.Rollout != 4 {
				t.Errorf("%+v %v", r, err)
			}
		}
	})
}

// TestEveryNodeLeads: who leads is not agreed on, and every node carries rollouts on.
func TestEveryNodeLeads(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{}
		l := newLab(t, 4, func(s *configsync.Settings) { s.Prepare = []configsync.Hook{j.hook(s.Node, nil)} })
		l.set(func() { l.allLead = true })
		for i := range 20 {
			if r := l.mustPublish(fmt.Sprintf("banner: v%d\n", i)); r.Epoch != uint64(i+1) {
				t.Errorf("%+v", r)
			}
			l.want(fmt.Sprint("v", i))
		}
		synctest.Wait()
		got := j.take()
		prepared, committed, aborted := strings.Count(got, "prepare"), strings.Count(got, "commit"),
			strings.Count(got, "abort")
		if committed != 80 || prepared != committed+aborted {
			t.Errorf("%d times prepared, %d committed, %d aborted", prepared, committed, aborted)
		}
	})
}

// Stuck is a configuration whose Validate does what its text says.
type Stuck struct{ Do string }

func (s Stuck) Validate() error {
	switch s.Do {
	case "hang":
		time.Sleep(time.Hour)
	case "panic":
		panic("oops")
	}
	return nil
}

// TestValidateThatHangsOrPanics: it is a refusal, by who publishes and by who is asked, and no dead node.
func TestValidateThatHangsOrPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		stuck := configsync.NewConfig("site", Stuck{})
		type Loose struct{ Do string }
		loose := configsync.NewConfig("site", Loose{})
		l := newLab(t, 2, func(s *configsync.Settings) {
			s.Configs = []configsync.Declared{loose}
			if s.Node == "n2" {
				s.Configs = []configsync.Declared{stuck}
			}
		})
		for do, want := range map[string]string{"hang": "did not come back within 10s", "panic": "Stuck.Validate panicked"} {
			for by, e := range []error{configsync.ErrRefused, nil} {
				_, err := l.nodes[by].publish(configsync.Plan{}, "site.yaml", "do: "+do+"\n")
				if e != nil && !errors.Is(err, e) || err == nil || !strings.Contains(err.Error(), want) ||
					strings.Contains(err.Error(), "goroutine") {
					t.Errorf("%s by n%d: %v", do, by+1, err)
				}
			}
		}
		if _, err := l.nodes[1].publish(configsync.Plan{}, "site.yaml", "do: well\n"); err != nil {
			t.Error(err)
		}
		if got := stuck.Get(l.nodes[1].manager.Context(t.Context())).Do; got != "well" {
			t.Error(got)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestEvidence: a node that hears of a newer epoch than it has is not usable until it has that, or until nobody speaks
// of it any more.
func TestEvidence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.mustPublish("banner: a\n")
		n3 := l.nodes[2]
		n3.muffle(true)
		if _, err := l.nodes[0].publish(configsync.Plan{Confirm: -1, Stage: time.Second, MinReady: 2}, "site.yaml",
			"banner: b\n"); err == nil {
			t.Fatal("it waits for n3, which can be reached")
		}
		n3.cutOff(true)
		r := l.mustPublish("banner: b\n")
		n3.cutOff(false)
		m := n3.manager
		if m.Usable() != nil {
			t.Error("how does it know?")
		}
		m.Saw(r.Epoch)
		if err := m.Usable(); !errors.Is(err, configsync.ErrBehind) || !strings.Contains(err.Error(), "epoch 2") {
			t.Error(err)
		}
		m.Saw(1) // an older one changes nothing
		if m.Usable() == nil {
			t.Error("it has forgotten")
		}
		n3.muffle(false)
		if err := m.AwaitUsable(t.Context()); err != nil || n3.banner() != "b" {
			t.Error(err)
		}
		m.Saw(99) // such as of another life of the farm, before a backup was put back
		if m.Usable() == nil {
			t.Error("99 does not count")
		}
		time.Sleep(11 * time.Second)
		if err := m.Usable(); err != nil {
			t.Error(err)
		}
	})
}

// TestDryRunWithAnothersKey: a dry run with the key of a rollout in progress does not end that.
func TestDryRunWithAnothersKey(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) { s.Content = d })
		d.delays = 10 * time.Second
		one := d.add(t, "public/index.html", "one")
		p := configsync.Publication{Write: configsync.Write{Key: "k"}, Content: one}
		tried := make(chan error)
		go func() {
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			_, err := l.nodes[1].manager.DryRun(ctx, p)
			tried <- err
		}()
		if _, err := l.nodes[0].manager.Publish(context.Background(), p); err != nil {
			t.Error(err)
		}
		if err := <-tried; !errors.Is(err, configsync.ErrEnded) {
			t.Error(err)
		}
	})
}

// TestPanicWithMuchText: what is said of a refusal has a limit, whatever the program says.
func TestPanicWithMuchText(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Prepare = []configsync.Hook{site.OnPrepare(func(context.Context, *Site, *Site) (_, _ func(), _ error) {
				panic(strings.Repeat("x", 1<<20))
			})}
		})
		l.set(func() {
			l.vote = func(v *configsync.Vote) {
				if len(v.Refused) > 64<<10 {
					t.Errorf("%s says %d bytes", v.Node, len(v.Refused))
				}
			}
		})
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: a\n"); !errors.Is(err, configsync.ErrRefused) {
			t.Error(err)
		}
	})
}

// TestProgressAfterARestore: the farm was put back to a backup, and gives numbers again that it has given before. The
// progress that is shown is of the rollout that runs.
func TestProgressAfterARestore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var l *lab
		var steps []string
		look := func(_ context.Context, _, next *Site) (func(), func(), error) {
			p, err := l.nodes[0].manager.Rollout(0)
			if err != nil || p.Rollout.Phase != configsync.PhaseStaging { // the node comes late
				return nil, nil, err
			}
			time.Sleep(time.Second) // the others are ready by then
			p, _ = l.nodes[0].manager.Rollout(0)
			said := next.Banner
			for _, n := range p.Nodes {
				said += fmt.Sprint(" ", n.Node, " ", n.Step)
			}
			steps = append(steps, said)
			return nil, nil, nil
		}
		l = newLab(t, 2, func(s *configsync.Settings) {
			if s.Node == "n2" {
				s.Prepare = []configsync.Hook{site.OnPrepare(look)}
			}
		})
		l.mustPublish("banner: a\n")
		old, applied := l.snapshot(l.nodes[0]), l.nodes[0].applied
		l.mustPublish("banner: b\n")
		l.mustPublish("banner: c\n")
		for _, banner := range []string{"d", "e"} { // of the numbers 2 and 3, which are taken
			if banner == "d" {
				l.set(func() {
					l.log, l.times = l.log[:applied], l.times[:applied]
					for _, n := range l.nodes {
						n.fresh(old, applied)
					}
				})
				time.Sleep(5 * time.Second)
			}
			l.mustPublish("banner: " + banner + "\n")
			p, err := l.nodes[0].manager.Rollout(0)
			if got := fmt.Sprint(p.Nodes); err != nil || got != "[{n1 confirmed 0 0 false } {n2 confirmed 0 0 false }]" {
				t.Errorf("%s: %s, %v", banner, got, err)
			}
		}
		want := []string{"a n1 ready n2 fetched", "b n1 ready n2 fetched", "c n1 ready n2 fetched",
			"d n1 ready n2 fetched", "e n1 ready n2 fetched"}
		if got := strings.ReplaceAll(strings.Join(steps, "\n"), "validated", "fetched"); got != strings.Join(want, "\n") {
			t.Errorf("while n2 prepares:\n%s", got)
		}
	})
}
