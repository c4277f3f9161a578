package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// resolver is a resolver whose answers change.
type resolver struct {
	mu sync.Mutex
	of map[string][]string
}

func (r *resolver) set(host string, ips ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string][]string{}
	}
	r.of[host] = ips
}

func (r *resolver) lookup(_ context.Context, host string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ips := r.of[host]; len(ips) > 0 {
		return slices.Clone(ips), nil
	}
	return nil, errors.New("no such host")
}

// named gives every node the same Join list of names, none of which is known yet.
func (l *lab) named(dns *resolver) {
	var all []string
	for i := range l.nodes {
		all = append(all, fmt.Sprintf("n%d.example:7946", i+1))
	}
	for _, n := range l.nodes {
		n.conf.Join, n.hooks.lookup = all, dns.lookup
	}
}

// A node's own name is known to the resolver only after the node was started, as for machines that are named
// once they run. They found one farm all the same, as many as the list is long.
func TestOwnNameResolvesLater(t *testing.T) {
	t.Parallel()
	unformed(t, 3, false, func(l *lab) {
		dns := &resolver{}
		l.named(dns)
		for _, n := range l.nodes {
			n.start()
		}
		time.Sleep(time.Minute)
		for i, n := range l.nodes {
			if id := n.State().ClusterID; id != "" {
				t.Fatalf("%s founded a farm without knowing anybody", n.conf.Name)
			}
			dns.set(fmt.Sprintf("n%d.example", i+1), n.ip)
			time.Sleep(10 * time.Second)
		}
		l.ready(l.nodes...)
		l.nodes[0].must("set k v")
		if voters := l.nodes[0].instance().voters(); len(voters) != 3 {
			t.Errorf("%d voters when writes were taken", len(voters))
		}
	})
}

// Every address changes at once, and the names follow later.
// Slow: a farm starts twice, at other addresses, before its names are right.
func TestNamesFollowAddresses(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		dns := &resolver{}
		l.named(dns)
		for i, n := range l.nodes {
			dns.set(fmt.Sprintf("n%d.example", i+1), n.ip)
			n.start()
		}
		l.ready(l.nodes...)
		l.nodes[0].must("set k v")
		for _, n := range l.nodes {
			n.stop()
		}
		for i, n := range l.nodes {
			n.ip = fmt.Sprintf("10.0.1.%d", i+1)
			n.conf.Listen = n.ip + ":7946"
			n.start()
		}
		time.Sleep(time.Minute)
		dns.set("n2.example", "10.0.1.2")
		l.ready(l.nodes...)
		l.nodes[2].must("set k2 v")
	})
}

// One name stands for all nodes, as that of a headless service does. Nobody can know from that how many nodes
// there are. So no node founds a farm, and each says what is missing. With Expect they form one.
func TestOneNameForAll(t *testing.T) {
	t.Parallel()
	for _, expect := range []int{0, 3} {
		t.Run(fmt.Sprint("Expect ", expect), func(t *testing.T) {
			unformed(t, 3, false, func(l *lab) {
				dns := &resolver{}
				dns.set("farm.example", "10.0.0.1", "10.0.0.2", "10.0.0.3")
				log := &lockedBuffer{}
				for _, n := range l.nodes {
					n.conf.Join, n.hooks.lookup, n.conf.Expect = []string{"farm.example:7946"}, dns.lookup,
						expect
					n.log = slog.New(slog.NewTextHandler(log, nil))
					n.start()
				}
				if expect == 0 {
					time.Sleep(time.Minute)
					for _, n := range l.nodes {
						if id := n.State().ClusterID; id != "" {
							t.Errorf("%s founded a farm", n.conf.Name)
						}
						n.stop()
						n.conf.Expect = 3
						n.start()
					}
					if !strings.Contains(log.String(), "Set Expect to their number") {
						t.Errorf("nobody says what is missing:\n%s", log)
					}
				}
				l.ready(l.nodes...)
				l.nodes[0].must("set k v")
			})
		})
	}
}

// The name stands for the first machine alone when that is started, so it founds a farm; the others join it.
// Slow: the warning that must not come would come within five minutes.
func TestOneNameThatGrows(t *testing.T) {
	if race.Enabled {
		t.Skip(onlyWaitedFor)
	}
	t.Parallel()
	unformed(t, 3, false, func(l *lab) {
		dns, log := &resolver{}, &lockedBuffer{}
		for i, n := range l.nodes {
			n.conf.Join, n.hooks.lookup = []string{"farm.example:7946"}, dns.lookup
			if i == 0 {
				n.log = slog.New(slog.NewTextHandler(log, nil))
			}
			dns.set("farm.example", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}[:i+1]...)
			n.start()
			l.ready(l.nodes[:i+1]...)
		}
		l.nodes[2].must("set k v")
		time.Sleep(5 * time.Minute)
		if strings.Contains(log.String(), "Set Expect") {
			t.Errorf("a member is told how to found a farm:\n%s", log)
		}
	})
}

func TestFounders(t *testing.T) {
	dns := &resolver{}
	dns.set("me", "203.0.113.1")
	dns.set("both", "203.0.113.1", "fd00::1")
	dns.set("all", "203.0.113.1", "203.0.113.2")
	for _, c := range []struct {
		join   string
		expect int
		want   int
	}{
		{"", 0, 1}, {"", 3, 3}, {"me:1", 0, 1}, {"me:1 203.0.113.1:1", 0, 1}, {"me:1 203.0.113.2:1", 0, 2},
		{"203.0.113.2:1", 0, 0},
		{"203.0.113.2:1 203.0.113.3:1", 0, 0}, {"203.0.113.2:1", 2, 2},
		{"both:1 203.0.113.2:1 203.0.113.3:1", 0, 3}, {"all:1", 0, 0},
		{"all:1", 3, 3}, {"nobody:1 203.0.113.2:1", 0, 0}, {"nobody:1 me:1", 0, 2},
	} {
		cfg := Config{Join: strings.Fields(c.join), Expect: c.expect}
		s := newSeeds(cfg, dns.lookup, func(addr string) bool { return addr == "203.0.113.1:1" })
		s.addrs(t.Context())
		if got := s.founders(); got != c.want {
			t.Errorf("Join %q, Expect %d: %d founders, want %d", c.join, c.expect, got, c.want)
		}
	}
}
