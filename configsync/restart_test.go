package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// due says what a node says of its restart.
func (n *labNode) due() string {
	n.lab.t.Helper()
	d := n.manager.RestartDue()
	return fmt.Sprint(d.Fields, d.Rollout, d.How)
}

// publishAs is publish of site.yaml, which has to succeed.
func (l *lab) publishAs(how configsync.Restarts, text string) configsync.Result {
	l.t.Helper()
	r, err := l.nodes[0].publish(configsync.Plan{Restart: how}, "site.yaml", text)
	if err != nil {
		l.t.Fatal(err)
	}
	synctest.Wait()
	return r
}

const notDue = "[] 0 2"

// A node says what it has to be restarted for, and by which change: the newest that has changed such a field, and no
// later one.
func TestRestartDue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.publishAs(configsync.Manual, "listen: \":2\"\n") // epoch 1
		for _, n := range l.nodes {
			if got := n.due(); got != notDue {
				t.Errorf("before it has begun: %s", got)
			}
			n.manager.Begun()
		}
		want := func(text string) {
			t.Helper()
			for _, n := range l.nodes {
				if got := n.due(); got != text {
					t.Errorf("%s: %s, want %s", n.name, got, text)
				}
			}
		}
		want(notDue)
		l.publishAs(configsync.Manual, "listen: \":2\"\nbanner: a\n")
		want(notDue)
		l.publishAs(configsync.Manual, "listen: \":3\"\nbanner: a\n")
		want("[site.listen] 3 2")
		l.publishAs(configsync.Rolling, "listen: \":3\"\nbanner: b\n") // it does not overrule that
		want("[site.listen] 3 2")
		l.publishAs(configsync.Simultaneous, "listen: \":4\"\nbanner: b\n")
		want("[site.listen] 5 1")
		l.publishAs(configsync.Rolling, "listen: \":2\"\nbanner: b\n") // what they have begun with
		want(notDue)
		l.publishAs(configsync.Rolling, "listen: \":4\"\nbanner: b\n")
		want("[site.listen] 7 0")

		n := l.nodes[2] // it starts again, and has the new value
		n.stop()
		n.start()
		synctest.Wait()
		n.manager.Begun()
		if got := n.due(); got != notDue {
			t.Error(got)
		}
		l.publishAs(configsync.Rolling, "listen: \":2\"\nbanner: b\n") // the others are as they began
		if got := n.due() + l.nodes[0].due(); got != "[site.listen] 8 0"+notDue {
			t.Error(got)
		}
	})
}

// Before the program has begun nothing is due, also if it has read a value: it had the defaults, or what was in force
// when it was stopped.
func TestRestartDue_ReadEarly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 1, nil)
		m := l.nodes[0].manager
		if got := site.Get(m.Context(t.Context())).Listen; got == ":2" {
			t.Fatal(got)
		}
		for i, how := range []configsync.Restarts{configsync.Rolling, configsync.Simultaneous} {
			l.publishAs(how, fmt.Sprintf("listen: \":%d\"\n", 2+i))
			if got := l.nodes[0].due(); got != notDue {
				t.Errorf("before it has begun: %s", got)
			}
		}
		m.Begun()
		if got := l.nodes[0].due(); got != notDue {
			t.Error(got)
		}
		l.publishAs(configsync.Rolling, "listen: \":4\"\n")
		if got := l.nodes[0].due(); got != "[site.listen] 3 0" {
			t.Error(got)
		}
	})
}

// The farm was put back to a backup, and gives numbers again that were given before the process began.
func TestRestartDue_Restored(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 2, nil)
		l.publishAs(configsync.Rolling, "listen: \":2\"\n")
		old, applied := l.snapshot(l.nodes[0]), l.nodes[0].applied
		l.publishAs(configsync.Rolling, "listen: \":2\"\nbanner: a\n")
		l.publishAs(configsync.Rolling, "listen: \":3\"\nbanner: b\n")
		for _, n := range l.nodes {
			n.manager.Begun()
		}
		l.set(func() {
			l.log, l.times = l.log[:applied], l.times[:applied]
			for _, n := range l.nodes {
				n.fresh(old, applied)
			}
		})
		time.Sleep(5 * time.Second)
		for _, text := range []string{"[site.listen] 0 2", "[site.listen] 2 0"} {
			for _, n := range l.nodes {
				if got := n.due(); got != text {
					t.Errorf("%s: %s, want %s", n.name, got, text)
				}
			}
			if text == "[site.listen] 0 2" { // by the backup
				l.publishAs(configsync.Rolling, "listen: \":4\"\n")
			}
		}
	})
}

// A change that only some nodes get has only those restarted.
func TestRestartDue_OneNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		for _, n := range l.nodes {
			n.manager.Begun()
		}
		if _, err := l.nodes[0].publish(configsync.Plan{}, "nodes/n2/site.yaml", "listen: \":2\"\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a, b := l.nodes[0].due(), l.nodes[1].due(); a != notDue || b != "[site.listen] 1 0" {
			t.Error(a, b)
		}
	})
}

// While a release can still be taken back by its confirm window, nobody is restarted for it.
func TestRestartDue_Confirming(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		for _, n := range l.nodes {
			n.manager.Begun()
		}
		done := make(chan error)
		go func() {
			_, err := l.nodes[0].publish(configsync.Plan{Confirm: time.Minute, Bake: time.Minute}, "site.yaml",
				"listen: \":2\"\n")
			done <- err
		}()
		time.Sleep(30 * time.Second)
		for _, n := range l.nodes {
			if st := n.manager.Status(); st.Epoch != 1 || len(st.Restart) != 1 || n.due() != notDue {
				t.Errorf("%s: %+v, %s", n.name, st, n.due())
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := l.nodes[1].due(); got != "[site.listen] 1 0" {
			t.Error(got)
		}
	})
}

// A node that is unwell by what it has begun with does not keep a farm from taking that back: it gets well when it is
// started again. A release that makes a node unwell is given back, whatever fields it changes.
func TestRestartDue_Unwell(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var l *lab
		l = newLab(t, 3, func(s *configsync.Settings) {
			if s.Node == "n2" {
				s.SelfCheck = func(ctx context.Context) error {
					if broken.Load() || l.nodes[1].banner() == "bad" {
						return errors.New("no database")
					}
					return nil
				}
			}
		})
		l.publishAs(configsync.Rolling, "listen: \":2\"\n")
		for _, n := range l.nodes {
			n.manager.Begun()
		}
		broken.Store(true)
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "listen: \":2\"\nbanner: a\n"); !errors.Is(err,
			configsync.ErrReturned) {
			t.Errorf("for nothing that needs a restart: %v", err)
		}
		l.publishAs(configsync.Rolling, "listen: \":1\"\n")
		broken.Store(false)
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "listen: \":3\"\nbanner: bad\n"); !errors.Is(err,
			configsync.ErrReturned) {
			t.Errorf("a release that makes a node unwell: %v", err)
		}
	})
}

// The nodes of a canary are restarted for it, and again when it is given up.
func TestRestartDue_Canary(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		l.publishAs(configsync.Rolling, "banner: a\n")
		for _, n := range l.nodes {
			n.manager.Begun()
		}
		m := l.nodes[0].manager
		p := configsync.Publication{Config: configsync.Files{"site.yaml": "listen: \":2\"\n"}, Hold: true}
		p.Epoch = 1
		r, err := m.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		r, err = m.StartCanary(t.Context(), configsync.Write{Epoch: 1}, r.Release, []string{"n2"}, configsync.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := fmt.Sprintf("[site.listen] %d 0", r.Rollout)
		n := l.nodes[1]
		if a, b := l.nodes[0].due(), n.due(); a != notDue || b != want {
			t.Error(a, b)
		}
		n.stop()
		n.start()
		synctest.Wait()
		n.manager.Begun()
		if got := n.due(); got != notDue {
			t.Error(got)
		}
		if err := m.EndCanary(context.Background(), r.Rollout, "me", "no"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := n.due(); got != want {
			t.Error(got)
		}
	})
}
