package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// holders returns a farm of three nodes that run a singleton.
func holders(t *testing.T) *farm {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := newFarm(t, 3, true)
	f.env = append(f.env, holderEnv+"=1")
	for _, n := range f.nodes {
		n.bin = self
	}
	f.formTogether()
	return f
}

// said is a line of a holder.
type said struct {
	what  string // begins, sure or ends
	at    int64  // hundredths of a second
	fence uint64
}

var saidLine = regexp.MustCompile(`(?m)^hold (begins|sure|ends) (\d+) (\d+)$`)

// holdings returns what the node's present process has said.
func (n *node) holdings() (all []said) {
	for _, m := range saidLine.FindAllStringSubmatch(n.out.String(), -1) {
		at, _ := strconv.ParseInt(m[2], 10, 64)
		fence, _ := strconv.ParseUint(m[3], 10, 64)
		all = append(all, said{m[1], at, fence})
	}
	return all
}

// holder waits until a node has begun to hold with a greater fence.
func (f *farm) holder(after uint64) (holder *node, began said) {
	f.t.Helper()
	f.until("a node holds", func() error {
		for _, n := range f.nodes {
			for _, s := range n.holdings() {
				if s.what == "begins" && s.fence > after {
					holder, began = n, s
					return nil
				}
			}
		}
		return errors.New("none does")
	})
	return holder, began
}

// The process that runs a singleton is killed. Another one runs it with a greater fence, in less than a
// second as a rule.
func TestSingleton_HolderKilled(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("it is about time; package farm has the same in fake time")
	}
	rounds := 5
	if ci.Torture() {
		rounds = 20
	}
	f := holders(t)
	var took []time.Duration
	n, began := f.holder(0)
	for range rounds {
		killed := time.Now()
		n.kill()
		next, then := f.holder(began.fence)
		took = append(took, time.Since(killed))
		n.again()
		n.awaitReady()
		f.settle()
		n, began = next, then
	}
	slices.Sort(took)
	t.Logf("taken over after %v, median %v", took, took[len(took)/2])
	if median := took[len(took)/2]; median > once.Patience { // without the proof of its end it takes longer
		ci.Latef(t, "taken over after %v, as a rule", median)
	}
}

// A farm in which a program runs that knows no locks says so, and has them when it has gone.
func TestLock_MixedVersions(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("the program of the last release has no race detector in it")
	}
	old := oldShop(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := newFarm(t, 3, true)
	f.env = append(f.env, holderEnv+"=1")
	f.nodes[0].bin, f.nodes[1].bin, f.nodes[2].bin = old, old, self
	f.form()
	newer := f.nodes[2]
	if force, common := newer.levels(); force >= 4 || common >= 4 {
		t.Logf("the last release speaks level %d: it has locks, and there is nothing to see here", common)
		return
	}
	if got := newer.lock(); !strings.HasPrefix(got, "level true") {
		t.Errorf("the lock: %s", got)
	}
	const refused = 5
	for _, n := range f.nodes[1:] {
		code, _, errs := n.runCtl("jobs")
		want := "does not know \"ask\": its version is older; jobs and locks take a newer program"
		if n == newer {
			want = "jobs and locks need 4: once all nodes run this version, farmctl finalize"
		}
		if code != refused || !strings.Contains(string(errs), want) {
			t.Errorf("farmctl jobs at %s: %d, %s", n.name, code, errs)
		}
	}
	for _, n := range f.nodes[:2] {
		n.replaceBy("")
	}
	f.finalize(newer)
	f.until("there are locks", func() error {
		if got := newer.lock(); !strings.HasPrefix(got, "fence ") || !strings.HasSuffix(got, ", <nil>") {
			return errors.New(got)
		}
		return nil
	})
	if n, _ := f.holder(0); n != newer {
		t.Errorf("%s holds", n.name)
	}
	newer.ctl(0, "locks")
	f.end()
}

// lock returns what came of a lock and its end.
func (n *node) lock() string {
	n.farm.t.Helper()
	res, err := n.farm.client.Get("http://" + n.addr() + "/lock")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

var reportLine = regexp.MustCompile(`(?m)the report is written.* for=(\S+)`)

// All nodes are restarted, one after the other. Each report is written once, and who restocks is replaced at
// once.
func TestRollingRestart_Jobs(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("package farm has the same in fake time")
	}
	f := newFarm(t, 3, true)
	for _, n := range f.nodes {
		n.more = []string{"-report", "* * * * * *"}
	}
	f.formTogether()
	var all []*process
	reports := func() (out []time.Time) {
		for _, p := range all {
			for _, m := range reportLine.FindAllStringSubmatch(p.out.String(), -1) {
				at, err := time.Parse(time.RFC3339, m[1])
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, at)
			}
		}
		return out
	}
	for _, n := range f.nodes {
		all = append(all, n.process)
	}
	first := time.Now()
	for _, n := range f.nodes {
		restocked := n.restocks()
		begin := time.Now()
		n.signal(n.terminate)
		if restocked {
			f.until("another one restocks", func() error {
				if !slices.ContainsFunc(f.nodes, func(o *node) bool { return o != n && o.restocks() }) {
					return errors.New("none does")
				}
				return nil
			})
			t.Logf("another one restocks %v after the word to stop", time.Since(begin).Round(time.Millisecond))
		}
		n.stopped()
		n.again()
		all = append(all, n.process)
		n.awaitReady()
		f.settleUnderLoad()
	}
	last := time.Now()
	f.until("the last reports are written", func() error {
		if r := reports(); len(r) == 0 || !slices.MaxFunc(r, time.Time.Compare).After(last) {
			return fmt.Errorf("%d are", len(r))
		}
		return nil
	})
	written := map[int64]int{}
	for _, at := range reports() {
		written[at.Unix()]++
	}
	for at := first.Unix() + 2; at <= last.Unix(); at++ {
		if written[at] != 1 {
			t.Errorf("the report of %v was written %d times", time.Unix(at, 0).UTC(), written[at])
		}
	}
	t.Logf("%d reports in %v", len(written), last.Sub(first).Round(time.Millisecond))
	f.stop()
}

// restocks reports whether this is the node that restocks, by what its process has printed.
func (n *node) restocks() bool {
	printed := n.out.String()
	began := strings.LastIndex(printed, "this node restocks fence")
	return n.running() && began > strings.LastIndex(printed, "this node restocks no more")
}
