package configsync_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// inquirer is a slog.Handler that asks a Manager everything at every record, and takes down what does not answer.
type inquirer struct {
	manager func() *configsync.Manager // nil while there is none

	mu    sync.Mutex
	asked []string // the messages at which it has asked; guarded by mu, and so is what follows
	hangs []string // "what at message"
}

// inquiries are calls of a Manager's methods that look at something, or change something and come back at once.
var inquiries = map[string]func(context.Context, *configsync.Manager){
	"AwaitUsable":       func(ctx context.Context, m *configsync.Manager) { m.AwaitUsable(ctx) },
	"Behind":            func(_ context.Context, m *configsync.Manager) { m.Behind(getRoot()) },
	"BehindContent":     func(_ context.Context, m *configsync.Manager) { m.BehindContent(getRoot()) },
	"Canary":            func(_ context.Context, m *configsync.Manager) { m.Canary() },
	"CatchUp":           func(ctx context.Context, m *configsync.Manager) { m.CatchUp(ctx, getRoot()) },
	"Changed":           func(_ context.Context, m *configsync.Manager) { m.Changed() },
	"Confirm":           func(ctx context.Context, m *configsync.Manager) { m.Confirm(ctx, 1) },
	"Conflict":          func(_ context.Context, m *configsync.Manager) { m.Conflict(1) },
	"Context":           func(ctx context.Context, m *configsync.Manager) { other.Load(m.Context(ctx)) },
	"Credentials":       func(_ context.Context, m *configsync.Manager) { m.Credentials() },
	"Diff":              func(_ context.Context, m *configsync.Manager) { m.Diff(0, 1) },
	"Digest":            func(_ context.Context, m *configsync.Manager) { m.Digest(1) },
	"Epochs":            func(_ context.Context, m *configsync.Manager) { m.Epochs() },
	"EpochAuthority":    func(_ context.Context, m *configsync.Manager) { m.EpochAuthority(configsync.Epoch{Number: 1}) },
	"Explain":           func(_ context.Context, m *configsync.Manager) { m.Explain(configsync.Question{Config: "site"}) },
	"FS":                func(ctx context.Context, m *configsync.Manager) { m.FS(m.Context(ctx)).Open("x") },
	"Files":             func(_ context.Context, m *configsync.Manager) { m.Files(0) },
	"KeysInUse":         func(_ context.Context, m *configsync.Manager) { m.KeysInUse() },
	"Overwritten":       func(_ context.Context, m *configsync.Manager) { m.Overwritten(1) },
	"ReleaseCredential": func(_ context.Context, m *configsync.Manager) { m.ReleaseCredential(configsync.Release{ID: 1}) },
	"Releases":          func(_ context.Context, m *configsync.Manager) { m.Releases() },
	"Reseal":            func(_ context.Context, m *configsync.Manager) { m.Reseal(nil) },
	"RestartDue":        func(_ context.Context, m *configsync.Manager) { m.RestartDue() },
	"Rollout":           func(_ context.Context, m *configsync.Manager) { m.Rollout(0) },
	"Rollouts":          func(_ context.Context, m *configsync.Manager) { m.Rollouts() },
	"Saw":               func(_ context.Context, m *configsync.Manager) { m.Saw(1) },
	"Status":            func(_ context.Context, m *configsync.Manager) { m.Status() },
	"Usable":            func(_ context.Context, m *configsync.Manager) { m.Usable() },
	"Verify":            func(ctx context.Context, m *configsync.Manager) { m.Verify(ctx, nil) },
	"View":              func(ctx context.Context, m *configsync.Manager) { m.View(m.Context(ctx)) },
	"WithDraft":         func(_ context.Context, m *configsync.Manager) { m.WithDraft(getRoot()) },
	"WithPreview":       func(_ context.Context, m *configsync.Manager) { m.WithPreview(getRoot(), 1, [32]byte{}) },
	"Written":           func(_ context.Context, m *configsync.Manager) { m.Written("key") },
	"Handler, Content, Repin": func(_ context.Context, m *configsync.Manager) {
		m.Handler(m.Repin(m.Content())).ServeHTTP(httptest.NewRecorder(), getRoot())
	},
}

// notAsked are the other methods: what waits for a release, or has the program's own code run, which may log. begun and
// closed are for once.
const notAsked = "Abort Activate Begun Check Close DiffFiles Draft DryRun DryRunRelease EndCanary FollowRollout Mint " +
	"Enter Answered Hold Publish Put Revoke Rollback RollbackPlan Seal Stage StartCanary StartPercentCanary"

func getRoot() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

func (q *inquirer) Enabled(context.Context, slog.Level) bool { return true }
func (q *inquirer) WithAttrs([]slog.Attr) slog.Handler       { return q }
func (q *inquirer) WithGroup(string) slog.Handler            { return q }

// Handle asks, and gives an answer its time. After the first that does not come it asks no more.
func (q *inquirer) Handle(_ context.Context, r slog.Record) error {
	m := q.manager()
	if m == nil {
		return nil
	}
	q.mu.Lock()
	over := len(q.hangs) > 0
	q.asked = append(q.asked, r.Message)
	q.mu.Unlock()
	if over {
		return nil
	}
	done := make(chan struct{})
	var mu sync.Mutex
	waits := map[string]bool{}
	for what := range inquiries {
		waits[what] = true
	}
	go func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		var all sync.WaitGroup
		for what, ask := range inquiries {
			all.Go(func() {
				ask(ended, m)
				mu.Lock()
				defer mu.Unlock()
				delete(waits, what)
			})
		}
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second): // a node that is behind has requests wait for 10 s, and may have to do so here
		mu.Lock()
		defer mu.Unlock()
		q.mu.Lock()
		defer q.mu.Unlock()
		q.hangs = append(q.hangs, fmt.Sprintf("%s at %q", slices.Sorted(maps.Keys(waits)), r.Message))
	}
	return nil
}

// TestLoggerAsks: a logger that asks the Manager whatever it may ask gets its answers, at every message. No lock is
// held that it needs. It is no bubble, where time would not pass for who waits for a lock.
func TestLoggerAsks(t *testing.T) {
	l := &lab{t: t}
	var asks []*inquirer
	depot := newDepot()
	for i := range 2 {
		n := &labNode{lab: l, name: fmt.Sprint("n", i+1)}
		q := &inquirer{manager: func() *configsync.Manager {
			n.lab.mu.Lock()
			defer n.lab.mu.Unlock()
			return n.manager
		}}
		asks = append(asks, q)
		n.settings = func(s *configsync.Settings) {
			s.Logger, s.Content = slog.New(q), depot
			s.Prepare = []configsync.Hook{site.OnPrepare(func(_ context.Context, _, next *Site) (func(), func(), error) {
				if next.Banner == "bad prepare" && s.Node == "n2" {
					panic("prepare")
				}
				return func() {
						if next.Banner == "bad commit" {
							panic("commit")
						}
					}, func() {
						if next.Banner == "bad prepare" {
							panic("abort")
						}
					}, nil
			})}
		}
		l.nodes = append(l.nodes, n)
	}
	for _, n := range l.nodes {
		n.start()
	}
	for _, b := range []string{"good", "bad prepare", "bad commit"} {
		_, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: "+b+"\n")
		if (b == "bad prepare") == (err == nil) {
			t.Errorf("%s: %v", b, err)
		}
	}
	l.beOlder(t, l.nodes[1], asks[1])
	for _, q := range asks {
		q.mu.Lock()
		for _, h := range q.hangs {
			t.Errorf("no answer: %s", h)
		}
		q.mu.Unlock()
	}
	said := strings.Join(append(asks[0].messages(), asks[1].messages()...), "\n")
	for _, want := range []string{"switched", "has panicked", "did not do what it must"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing was asked at %q; at\n%s", want, said)
		}
	}
	for _, n := range l.nodes {
		if !t.Failed() {
			n.stop()
		}
	}
}

// messages returns at what it has asked.
func (q *inquirer) messages() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.asked)
}

// beOlder starts a node again with an older program, and waits until its logger was told that it cannot
// use what comes then.
func (l *lab) beOlder(t *testing.T, n *labNode, q *inquirer) {
	type Older struct{ Banner string }
	n.stop()
	was := n.settings
	n.settings = func(s *configsync.Settings) {
		was(s)
		s.Prepare = nil
		s.Configs = []configsync.Declared{configsync.NewConfig("site", Older{}), other}
	}
	n.start()
	all := l.nodes
	l.set(func() { l.nodes = all[:1] }) // it is no member for a while, and is not asked
	if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: new\nlimits: {max: 3}\n"); err != nil {
		t.Error(err)
	}
	l.set(func() { l.nodes = all })
	l.spread()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(strings.Join(q.messages(), "\n"), "this program cannot use") {
			return
		}
	}
	t.Error("nothing was asked when the program could not use what is in force:", n.manager.Usable())
}

// Every method of a Manager is one that TestLoggerAsks asks, or does not for a reason.
func TestInquiriesAreAll(t *testing.T) {
	all := notAsked
	for what := range inquiries {
		all += " " + strings.ReplaceAll(what, ",", "")
	}
	known := strings.Fields(all)
	for i := range reflect.TypeFor[*configsync.Manager]().NumMethod() {
		if name := reflect.TypeFor[*configsync.Manager]().Method(i).Name; !slices.Contains(known, name) {
			t.Errorf("TestLoggerAsks does not ask %s", name)
		}
	}
}
