package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

const (
	fewFiles    = 1024
	idlers      = 10_000
	silentPeers = 2000
	writeBound  = 15 * time.Second // for a write, asked for again and again, on a busy machine
)

// Ten thousand clients that keep their connections open and say nothing, or nothing more, against a farm
// whose nodes may have 1024 files and connections open each. Then somebody without the secret does the same
// to the leader's peer port. The nodes live, those who use the farm go on writing, new ones get in, and the
// leader stays the leader.
func TestFewDescriptors(t *testing.T) { // not in parallel: its clients leave the others' proxies no time
	if testing.Short() {
		t.Skip("takes long")
	}
	if race.Enabled {
		t.Skip("ten thousand clients with the race detector take minutes; the nodes are no others than without")
	}
	f := newFarm(t, 3, true)
	for _, n := range f.nodes {
		n.startWith(fewFiles, append(n.others(), n.peer)...)
	}
	f.settle()
	l := f.load()
	leader, changes, term := f.leader(), f.settledChanges(), f.term()
	attacked := func(what string, attack func(hold *held)) {
		t.Helper()
		var hold held
		defer hold.close()
		l.mark()
		attack(&hold)
		l.more(300)
		f.settleUnderLoad() // every node answers a new connection
		for _, n := range f.nodes {
			if files := n.usage().files; files > fewFiles*7/8 {
				t.Errorf("%s: %s has %d files and connections open, of %d", what, n.name, files, fewFiles)
			}
		}
		if _, slowest := l.tally.measured(); slowest > writeBound {
			ci.Latef(t, "%s: an answer took %v", what, slowest)
		}
		l.measured(what)
	}
	attacked("idle clients", func(hold *held) {
		n := idlers
		if most := descriptors.Limit() - 4000; most > 0 && n > most {
			n = most
			t.Logf("this process may have %d files open: %d idle clients only", descriptors.Limit(), n)
		}
		hold.open(t, n, func(i int) string { return f.nodes[i%3].addr() }, func(i int, c net.Conn) error {
			if i/3%2 == 0 {
				return nil // says nothing at all
			}
			return ask(c)
		})
		t.Logf("%d of %d connections were opened", hold.opened.Load(), n)
		if hold.opened.Load() < int64(n)*9/10 {
			t.Errorf("%d of %d connections were opened", hold.opened.Load(), n)
		}
	})
	attacked("silent peers", func(hold *held) {
		hold.open(t, silentPeers, func(int) string { return leader.peer }, func(int, net.Conn) error { return nil })
	})
	if now := f.leader(); now != leader {
		t.Errorf("%s leads; before it was %s", now.name, leader.name)
	}
	if now := f.term(); now != term {
		t.Errorf("term %d; before it was %d", now, term)
	}
	if now := f.leaderChanges(); now != changes && !t.Failed() {
		ci.Latef(t, "a follower did not hear the leader for a moment: %d lines say that the leader changed; before "+
			"it was %d", now, changes)
	}
	l.finish()
	f.end()
}

// term returns Raft's term, as all nodes know it.
func (f *farm) term() (term uint64) {
	f.t.Helper()
	f.until("all nodes in one term", func() error {
		terms := map[uint64]bool{}
		for _, n := range f.nodes {
			s, err := n.stats()
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
			term = s.Term
			terms[term] = true
		}
		if len(terms) != 1 {
			return fmt.Errorf("terms %v", terms)
		}
		return nil
	})
	return term
}

// stats asks the node what it measures, as an operator does.
func (n *node) stats() (s admin.Stats, err error) {
	secret := ""
	for _, v := range n.farm.env {
		if is, ok := strings.CutPrefix(v, "FARM_SECRET="); ok {
			secret = is
		}
	}
	c, err := admin.New(admin.Config{Farm: farmName, Secrets: []string{secret}, Nodes: []string{n.peer}, Timeout: lookTime})
	if err != nil {
		return s, err
	}
	return c.Stats(n.farm.t.Context())
}

// startWith starts the node as a process that may have so many files open.
func (n *node) startWith(files int, join ...string) {
	t := n.farm.t
	t.Helper()
	bin, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	// all clients come from one address, and stand for clients from many
	script := fmt.Sprintf(`ulimit -n %d; FARM_MAX_CONNS_PER_CLIENT=-1 exec "$0" "$@"`, files)
	cmd := exec.Command("sh", append([]string{"-c", script, bin}, n.args(join...)...)...)
	if n.process, err = startProcess(t, n.name, n.farm.env, cmd); err != nil {
		t.Fatal(err)
	}
}

// leaderChanges returns how often the nodes have said that the leader changed.
func (f *farm) leaderChanges() (n int) {
	for _, node := range f.nodes {
		n += strings.Count(node.out.String(), `"msg":"leader changed"`)
	}
	return n
}

// settledChanges is leaderChanges when the lines about what was before this call are written: a node waits half a
// second for the reason. A follower may lose a new leader of which it has heard, but from which it has no entry yet.
func (f *farm) settledChanges() int {
	time.Sleep(2 * time.Second)
	return f.leaderChanges()
}

// held are connections that stay open until close.
type held struct {
	opened atomic.Int64
	mu     sync.Mutex
	conns  []net.Conn // guarded by mu
}

// open opens n connections, some at a time, and does the same on each. That may fail: the other end closes
// what it likes.
func (h *held) open(t *testing.T, n int, addr func(int) string, begin func(int, net.Conn) error) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, 64)
	for i := range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			c, err := net.DialTimeout("tcp", addr(i), patience)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			c.SetDeadline(time.Now().Add(patience))
			if begin(i, c) == nil {
				h.opened.Add(1)
			}
		})
	}
	wg.Wait()
}

func (h *held) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.Close()
	}
}

// ask makes a request over a connection that stays open afterwards.
func ask(c net.Conn) error {
	if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: farm\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
