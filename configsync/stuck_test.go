package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestCommitReads: a hook that looks at what is in use while it commits does not wait for itself. It is no
// bubble, where time would not pass for who waits for a lock.
func TestCommitReads(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	var read []string
	l := &lab{t: t}
	n := &labNode{lab: l, name: "n1", settings: func(s *configsync.Settings) {
		s.Logger = slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))
		s.Prepare = []configsync.Hook{site.OnPrepare(func(context.Context, *Site, *Site) (func(), func(), error) {
			return func() {
				m := l.nodes[0].manager
				ctx := m.Context(context.Background())
				m.Changed()
				said := fmt.Sprint(site.Get(ctx).Banner, " ", site.Load(ctx).Banner, " ", m.Status().Uses, " ", m.Usable())
				mu.Lock()
				defer mu.Unlock()
				read = append(read, said)
			}, nil, nil
		})}
	}}
	l.nodes = []*labNode{n}
	n.start()
	defer n.stop()
	for _, b := range []string{"a", "b"} {
		if _, err := n.publish(configsync.Plan{}, "site.yaml", "banner: "+b+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	l.want("b")
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(read, ", "); got != "Welcome Welcome 0 <nil>, a a 1 <nil>" ||
		strings.Contains(log.String(), "did not do what it must") {
		t.Errorf("the hooks read %q\n%s", got, log.String())
	}
}

// locked writes under a lock.
type locked struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// TestAbortHangs: an abort that does not come back keeps the next release from its node for a while, and
// not for ever.
func TestAbortHangs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var aborted atomic.Int32
		l := newLab(t, 2, func(s *configsync.Settings) {
			hook := site.OnPrepare(func(_ context.Context, _, next *Site) (func(), func(), error) {
				if s.Node == "n2" && next.Banner == "b" {
					return nil, nil, errors.New("no")
				}
				return nil, func() {
					if aborted.Add(1) == 1 {
						<-hang
					}
				}, nil
			})
			s.Prepare = []configsync.Hook{hook, hook}
			if s.Node == "n2" {
				s.Prepare = s.Prepare[:1]
			}
		})
		l.mustPublish("banner: a\n")
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n"); !errors.Is(err,
			configsync.ErrRefused) {
			t.Error(err)
		}
		began := time.Now()
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: c\n"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the next release took %v", took)
		}
		l.want("c")
		if aborted.Load() != 2 {
			t.Errorf("%d hooks were aborted: the one after that which hangs is left", aborted.Load())
		}
		close(hang)
	})
}

// TestStrays: code of the program that hangs is called again, but not without end: each call keeps a
// goroutine.
func TestStrays(t *testing.T) {
	for name, c := range map[string]struct {
		hang func(s *configsync.Settings, hang func()) // on n2
		next func(l *lab, i int) error
		want string
	}{
		"hook": {func(s *configsync.Settings, hang func()) {
			s.Prepare = []configsync.Hook{site.OnPrepare(func(context.Context, *Site, *Site) (func(), func(), error) {
				hang()
				return nil, nil, nil
			})}
		}, putBanner, "n2: site: prepare: it is not called again: 8 calls of it have not come back"},
		"content": {func(s *configsync.Settings, hang func()) {
			s.CheckContent = func(context.Context, fs.FS) error { hang(); return nil }
		}, func(l *lab, i int) error {
			_, err := l.nodes[0].putContent(l.depot.add(l.t, "public/index.html", fmt.Sprint(i)))
			return err
		}, "n2: content: it is not called again: 8 calls of it have not come back"},
		"self-check": {func(s *configsync.Settings, hang func()) {
			s.SelfCheck = func(context.Context) error { hang(); return nil }
		}, putBanner, "n2: self-check: it is not called again: 8 calls of it have not come back"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				over, hanging := make(chan struct{}), atomic.Int32{}
				hangs := func() {
					hanging.Add(1)
					<-over
				}
				d := newDepot()
				l := newLab(t, 2, func(s *configsync.Settings) {
					s.Content = d
					if s.Node == "n2" {
						c.hang(s, hangs)
					}
				})
				l.depot = d
				var err error
				for i := range 12 {
					if err = c.next(l, i); err == nil {
						t.Error("a release that makes a node hang was taken")
					}
				}
				if !strings.Contains(fmt.Sprint(err), c.want) || hanging.Load() != 8 {
					t.Errorf("%d calls hang; %v", hanging.Load(), err)
				}
				close(over)
				synctest.Wait()
				if err = c.next(l, 12); err != nil {
					t.Errorf("when all have come back: %v", err)
				}
			})
		})
	}
}

func putBanner(l *lab, i int) error {
	_, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", fmt.Sprintf("banner: b%d\n", i))
	return err
}

// slowly is a config whose Validate takes its time.
type slowly struct{ Text string }

var slowlyOf = configsync.NewConfig("slowly", slowly{})

func (s slowly) Validate() error {
	if s.Text != "" {
		d, err := time.ParseDuration(s.Text)
		time.Sleep(d)
		return err
	}
	return nil
}

// TestManyChecks: of many who have configuration checked at once nobody is told that his is wrong because of the
// others: he waits for them, or is told to try again where their checks have hung.
func TestManyChecks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{slowlyOf}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		checks := func(n int, takes string) (errs []error) {
			var all sync.WaitGroup
			errs = make([]error, n)
			for i := range errs {
				all.Go(func() { errs[i] = m.Check(configsync.Files{"slowly.yaml": "text: " + takes + "\n"}) })
			}
			all.Wait()
			return errs
		}
		for _, err := range checks(20, "100ms") {
			if err != nil {
				t.Fatal(err)
			}
		}
		overloaded := 0
		for _, err := range checks(9, "60s") { // more than a check may take, for each kind of node
			if _, wrong := errors.AsType[configsync.Problems](err); !wrong && errors.Is(err, configsync.ErrOverloaded) {
				overloaded++
			}
		}
		if overloaded != 1 {
			t.Errorf("%d of nine were told to try again", overloaded)
		}
		time.Sleep(5 * time.Minute)
		if err := m.Check(configsync.Files{"slowly.yaml": "text: 0s\n"}); err != nil {
			t.Error(err)
		}
	})
}
