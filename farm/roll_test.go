package farm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

type serverConfig struct {
	Banner string
	Listen string `reload:"restart"`
}

var serverOf = configsync.NewConfig("server", serverConfig{Listen: ":1"})

// starts counts the starts of nodes, by name.
type starts struct {
	mu sync.Mutex
	of map[string]int
}

func (s *starts) config(nodes int, durable bool) farmtest.Config {
	s.of = map[string]int{}
	return farmtest.Config{Nodes: nodes, Durable: durable, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{serverOf}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.of[n.Name()]++
	}}
}

func (s *starts) get() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.of)
}

func (s *starts) String() string { return strings.TrimPrefix(fmt.Sprint(s.get()), "map") }

// putServer sets the fields of serverOf by a node.
func putServer(t *testing.T, n *farmtest.Node, how configsync.Restarts, text string) {
	t.Helper()
	m := n.Farm().Configs()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := configsync.Write{Epoch: m.Status().Epoch, Who: "test"}
	c := configsync.Change{Write: w, Set: configsync.Files{"server.yaml": text}, Restart: how}
	if _, err := m.Put(ctx, c); err != nil {
		t.Fatal(err)
	}
}

// soon waits in the bubble's time until something is so.
func soon(t *testing.T, limit time.Duration, what fmt.Stringer, so func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !so(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come, within %v: %v", limit, what)
		}
	}
}

// fewestUp watches how many nodes run at the same time, at least, until it is asked.
func fewestUp(f *farmtest.Farm) (least func() int) {
	done, answer := make(chan struct{}), make(chan int)
	go func() {
		n := len(f.Running())
		for {
			select {
			case <-done:
				answer <- n
				return
			case <-time.After(100 * time.Millisecond):
				n = min(n, len(f.Running()))
			}
		}
	}()
	return func() int { close(done); return <-answer }
}

// A change of a field that needs a restart has every node restarted, one at a time, and each once. A later change of
// another field restarts nobody.
func TestRoll(t *testing.T) {
	t.Parallel()
	for name, durable := range map[string]bool{"durable": true, "in memory": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s starts
			s.config(3, durable).Run(t, func(t *testing.T, f *farmtest.Farm) {
				putServer(t, f.Nodes[0], configsync.Rolling, "banner: a\n")
				time.Sleep(20 * time.Second)
				if got := s.String(); got != "[n1:1 n2:1 n3:1]" {
					t.Fatalf("restarted for a field that needs none: %s", got)
				}
				leader, least := f.Leader(), fewestUp(f)
				putServer(t, f.Nodes[1], configsync.Rolling, "listen: \":2\"\n")
				soon(t, 5*time.Minute, &s, func() bool {
					n := s.get()
					if n[leader.Name()] > 1 && n["n1"]+n["n2"]+n["n3"] < 6 {
						t.Fatalf("the leader is not the last one: %s", &s)
					}
					return n["n1"]+n["n2"]+n["n3"] == 6
				})
				f.Settle()
				putServer(t, f.Nodes[0], configsync.Rolling, "listen: \":2\"\nbanner: b\n")
				time.Sleep(40 * time.Second)
				if got := s.String(); got != "[n1:2 n2:2 n3:2]" {
					t.Errorf("starts: %s", got)
				}
				if n := least(); n != 2 {
					t.Errorf("%d nodes ran at least", n)
				}
				for _, n := range f.Nodes {
					if st := n.Farm().Configs().Status(); len(st.Restart) > 0 {
						t.Errorf("%s: %+v", n, st)
					}
				}
			})
		})
	}
}

// The one that drives the restarts is killed half way, and another one goes on.
func TestRoll_LeaderDies(t *testing.T) {
	t.Parallel()
	var s starts
	s.config(3, true).Run(t, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		putServer(t, f.Nodes[0], configsync.Rolling, "listen: \":2\"\n")
		soon(t, time.Minute, &s, func() bool { n := s.get(); return n["n1"]+n["n2"]+n["n3"] == 4 })
		leader.Kill()
		time.Sleep(40 * time.Second)
		if n := s.get(); n["n1"]+n["n2"]+n["n3"] != 4 {
			t.Errorf("restarted although a node is missing: %s", &s)
		}
		leader.Restart()
		soon(t, 5*time.Minute, &s, func() bool { n := s.get(); return n["n1"]+n["n2"]+n["n3"] == 6 })
		time.Sleep(40 * time.Second)
		if got := s.String(); got != "[n1:2 n2:2 n3:2]" {
			t.Errorf("starts: %s", got)
		}
	})
}

// All at once, where that was asked for; never in a farm in memory, which would lose everything.
func TestRoll_Simultaneous(t *testing.T) {
	t.Parallel()
	var s starts
	s.config(3, true).Run(t, func(t *testing.T, f *farmtest.Farm) {
		least := fewestUp(f)
		putServer(t, f.Nodes[0], configsync.Simultaneous, "listen: \":2\"\n")
		soon(t, 5*time.Minute, &s, func() bool { return s.String() == "[n1:2 n2:2 n3:2]" })
		f.Settle()
		if n := least(); n != 0 {
			t.Errorf("%d nodes ran at least", n)
		}
		for _, n := range f.Nodes {
			if got := serverOf.Load(n.Farm().Configs().Context(t.Context())).Listen; got != ":2" {
				t.Errorf("%s has %s", n, got)
			}
		}
	})
	var m starts
	m.config(3, false).Run(t, func(t *testing.T, f *farmtest.Farm) {
		least := fewestUp(f)
		putServer(t, f.Nodes[0], configsync.Simultaneous, "listen: \":2\"\n")
		soon(t, 5*time.Minute, &m, func() bool { return m.String() == "[n1:2 n2:2 n3:2]" })
		f.Settle()
		if n := least(); n != 2 {
			t.Errorf("in memory: %d nodes ran at least", n)
		}
	})
}

// Left to the operator, nobody is restarted, and each node says what it needs.
func TestRoll_Manual(t *testing.T) {
	t.Parallel()
	var s starts
	s.config(3, false).Run(t, func(t *testing.T, f *farmtest.Farm) {
		putServer(t, f.Nodes[0], configsync.Manual, "listen: \":2\"\n")
		time.Sleep(40 * time.Second)
		if got := s.String(); got != "[n1:1 n2:1 n3:1]" {
			t.Errorf("starts: %s", got)
		}
		for _, n := range f.Nodes {
			if st := n.Farm().Configs().Status(); len(st.Restart) != 1 {
				t.Errorf("%s: %+v", n, st)
			}
		}
	})
}

// A node that an operator has drained is his: it is not restarted before he takes that back. Where they roll, the
// others wait for it.
func TestRoll_Drained(t *testing.T) {
	t.Parallel()
	for how, others := range map[configsync.Restarts]int{configsync.Rolling: 1, configsync.Simultaneous: 2} {
		var s starts
		s.config(3, true).Run(t, func(t *testing.T, f *farmtest.Farm) {
			n := f.Others(f.Leader())[0]
			n.Drain()
			putServer(t, f.Nodes[0], how, "listen: \":2\"\n")
			time.Sleep(time.Minute)
			want := map[string]int{"n1": others, "n2": others, "n3": others}
			if want[n.Name()] = 1; !maps.Equal(s.get(), want) {
				t.Errorf("%d: starts %s, with %s drained; want %v", how, &s, n, want)
			}
			n.Undrain()
			soon(t, 5*time.Minute, &s, func() bool { return s.String() == "[n1:2 n2:2 n3:2]" })
			f.Settle()
		})
	}
}

// A front that no other one can stand in for is left to its operator, and the others do not wait for it.
func TestRoll_Unlike(t *testing.T) {
	t.Parallel()
	var s starts
	c := s.config(4, false)
	count := c.Configure
	c.Configure = func(n *farmtest.Node, c *farm.Config) {
		count(n, c)
		if n.Name() == "n2" {
			c.Role = cluster.Front
		}
	}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		putServer(t, f.Nodes[0], configsync.Rolling, "listen: \":2\"\n")
		soon(t, 5*time.Minute, &s, func() bool { return s.String() == "[n1:2 n2:1 n3:2 n4:2]" })
		f.Settle()
	})
}

// New values with which a node is not well show when it has been restarted. Then nobody else is, and what was in force
// before can be put back, though a node is not well until it is restarted for that too.
func TestRoll_Unwell(t *testing.T) {
	t.Parallel()
	var s starts
	c := s.config(3, true)
	count := c.Configure
	c.Configure = func(n *farmtest.Node, c *farm.Config) {
		count(n, c)
		c.SelfCheck = func(context.Context) error {
			if s.get()[n.Name()] == 2 {
				return errors.New("no database")
			}
			return nil
		}
	}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		putServer(t, f.Nodes[0], configsync.Rolling, "listen: \":2\"\n")
		time.Sleep(2 * time.Minute)
		sum := func() (n int) {
			for _, one := range s.get() {
				n += one
			}
			return n
		}
		if sum() != 4 {
			t.Fatalf("starts: %s", &s)
		}
		putServer(t, f.Nodes[0], configsync.Rolling, "listen: \":1\"\n")
		time.Sleep(2 * time.Minute)
		if sum() != 5 {
			t.Errorf("starts: %s", &s)
		}
		for _, n := range f.Nodes {
			if st := n.Farm().Configs().Status(); len(st.Restart) > 0 || st.Epoch != 2 {
				t.Errorf("%s: %+v", n, st)
			}
		}
	})
}
