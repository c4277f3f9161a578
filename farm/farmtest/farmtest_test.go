package farmtest

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// recorder takes the place of a test that is meant to fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	problems []string
	logs     []string
	cleanups []func()
}

func (r *recorder) Helper()           {}
func (r *recorder) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.problems) > 0
}

// run runs body as a test does, and returns what went wrong.
func (r *recorder) run(body func()) []string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		body()
	}()
	<-done
	return r.problems
}

// fails runs body in a bubble, with a farm, and demands one problem that says what.
func fails(t *testing.T, c Config, what string, body func(t *testing.T, f *Farm)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		problems := r.run(func() { body(t, c.New(r)) })
		if len(problems) == 0 {
			t.Fatalf("nothing was noticed; it should be: %s", what)
		}
		for _, p := range problems {
			if !strings.Contains(p, what) {
				t.Errorf("noticed was %q, and should be %q", p, what)
			}
		}
		if len(r.logs) == 0 || !strings.Contains(r.logs[0], "leader changed") {
			t.Errorf("what the nodes logged is not shown: %q", r.logs)
		}
	})
}

func TestLeftGoroutineIsNoticed(t *testing.T) {
	started := make(chan chan struct{}, 1)
	handler := func(*farm.Farm) http.Handler {
		release := make(chan struct{})
		started <- release
		go func() { <-release }()
		return http.NotFoundHandler()
	}
	bubble.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		problems := r.run(func() { New(r, 1, handler) })
		close(<-started)
		if len(problems) != 1 || !strings.Contains(problems[0], "goroutines are left") || !strings.Contains(problems[0], "farmtest_test.go") {
			t.Errorf("noticed: %q", problems)
		}
	})
}

func TestSecondLeaderIsNoticed(t *testing.T) {
	t.Parallel()
	fails(t, Config{}, "had two leaders", func(t *testing.T, f *Farm) {
		if len(f.elections) == 0 {
			t.Error("the farm has a leader, and no election was noticed")
		}
		for _, n := range f.Nodes[1:] {
			f.elected(n.last, 1000)
		}
		f.elected(f.Nodes[1].last, 1001)
	})
}

// odd is a state machine that is not the same on all nodes.
type odd struct {
	cluster.StateMachine
	state string
}

func (o odd) Snapshot() io.WriterTo { return strings.NewReader(o.state) }

func TestDifferenceIsNoticed(t *testing.T) {
	t.Parallel()
	c := Config{Configure: func(n *Node, c *farm.Config) {
		c.Cluster.Machines = map[string]func() cluster.StateMachine{
			"odd": func() cluster.StateMachine { return odd{state: n.Name()} },
		}
	}}
	fails(t, c, "differ", func(t *testing.T, f *Farm) {})
}

// Slow: the farm is given its time to settle, in which it cannot.
func TestFarmThatDoesNotSettle(t *testing.T) {
	t.Parallel()
	fails(t, Config{}, "did not settle", func(t *testing.T, f *Farm) {
		f.Partition(f.Nodes[:1])
		f.Settle()
	})
}

func TestClients(t *testing.T) {
	t.Parallel()
	handler := func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie("seen"); err == nil {
				fmt.Fprintf(w, "%s, after %s", farm.Info(r.Context()).Node, c.Value)
			} else {
				fmt.Fprint(w, farm.Info(r.Context()).Node)
			}
		})
	}
	Run(t, 3, handler, func(t *testing.T, f *Farm) {
		get := func(c *http.Client, url string) string {
			t.Helper()
			resp, err := c.Get(url)
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			return string(b)
		}
		browser := f.Browser()
		req, _ := http.NewRequest("GET", f.Nodes[0].URL(), nil)
		browser.Jar.SetCookies(req.URL, []*http.Cookie{{Name: "seen", Value: "n1"}})
		for _, n := range f.Nodes {
			if got := get(n.Client(), "http://shop.example/"); got != n.Name() {
				t.Errorf("the client of %s got %q", n, got)
			}
			if got, want := get(browser, n.URL()), n.Name()+", after n1"; got != want {
				t.Errorf("the browser got %q, want %q", got, want)
			}
		}
		if got := get(browser, "http://shop.example/"); !strings.Contains(got, "no node has the address") {
			t.Errorf("the browser got %q from nowhere", got)
		}
		n := f.Nodes[1]
		old := n.URL()
		n.Kill()
		if got := get(n.Client(), n.URL()); !strings.Contains(got, "refused") {
			t.Errorf("a killed node answered %q", got)
		}
		n.Move()
		f.Settle()
		if got := get(n.Client(), n.URL()); got != n.Name() || n.URL() == old {
			t.Errorf("at %s, after a move from %s: %q", n.URL(), old, got)
		}
	})
}

// TestTime holds what a bubble is for. One node does: what three say to each other in ten minutes takes a slow machine minutes.
func TestTime(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	Run(t, 1, nil, func(t *testing.T, f *Farm) {
		time.Sleep(10 * time.Minute)
		f.Settle()
	})
	if took := time.Since(begin); took > 5*time.Minute {
		t.Errorf("ten minutes of the farm's time took %v", took)
	}
}
