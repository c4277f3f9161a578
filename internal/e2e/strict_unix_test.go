//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// strictRoom is a newsroom whose numbers are put in force strictly, and whose readers share what they have seen.
type strictRoom struct {
	*newsroom
	newest  atomic.Int64 // that any reader was shown, anywhere
	key     string       // file of the credential: one of its own for each release that is held would be too many
	release uint64       // that was published last, and is held
}

// held publishes the next number without putting it in force.
func (r *strictRoom) held(by *node) {
	r.f.t.Helper()
	r.write(r.last.Load() + 1)
	if r.key == "" {
		r.key = filepath.Join(r.f.t.TempDir(), "ci.credential")
		if code, out, errs := by.runCtl("credential", "mint", "-out", r.key, "ci"); code != 0 {
			r.f.t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
	}
	code, out, errs := by.runCtl("publish", "-json", "-hold", "-overwrite", "-credential", r.key, r.dir)
	var done struct {
		Release uint64 `json:"release"`
	}
	if err := json.Unmarshal(out, &done); code != 0 || err != nil {
		r.f.t.Fatalf("by %s: exit code %d, %v\n%s%s", by.name, code, err, out, errs)
	}
	r.release = done.Release
}

// activate has what is held be put in force strictly, and returns the exit code, and what was said.
func (r *strictRoom) activate(by *node, most string) (code int, said string) {
	code, out, errs := by.runCtl("activate", "-timeout", "2m", "-confirm", "none", "-strict="+most,
		strconv.FormatUint(r.release, 10))
	if code == 0 {
		r.last.Add(1)
	}
	return code, string(out) + string(errs)
}

// goes puts what is held in force.
func (r *strictRoom) goes(by *node, most string) {
	r.f.t.Helper()
	if code, said := r.activate(by, most); code != 0 {
		r.f.t.Fatalf("number %d by %s: exit code %d\n%s", r.last.Load()+1, by.name, code, said)
	}
}

// follow reads one node after the other. What was shown to anybody before a request was sent, or something newer, has
// to be shown to it, on any node.
func (r *strictRoom) follow(ctx context.Context, first int) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: first%2 == 0}}
	for i := first; ctx.Err() == nil; i++ {
		n, least := r.f.nodes[i%len(r.f.nodes)], r.newest.Load()
		got, err := r.read(ctx, client, n)
		if err != nil {
			pause(ctx, pollTime) // a node that is stopped, or was killed
			continue
		}
		if got < least {
			r.complain("%s has shown %d after somebody was shown %d", n.name, got, least)
		}
		for was := r.newest.Load(); got > was && !r.newest.CompareAndSwap(was, got); was = r.newest.Load() {
		}
		r.mu.Lock()
		r.seen++
		r.mu.Unlock()
	}
}

// slow asks a node for a page that is not answered before end is called, and returns when its handler runs. how says
// what of the answer comes before.
func (r *strictRoom) slow(n *node, how string) (end func()) {
	r.f.t.Helper()
	before := strings.Count(n.out.String(), "slow begins")
	ctx, cancel := context.WithCancel(r.f.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr()+"/slow?wait"+how, nil)
		if err != nil {
			r.f.t.Error(err)
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	r.f.until("the slow page begins", func() error {
		if strings.Count(n.out.String(), "slow begins") == before {
			return errors.New("it has not")
		}
		return nil
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// beginsAndHolds begins to put what is held in force, and returns when a node has begun to hold requests. end
// returns what has become of it.
func (r *strictRoom) beginsAndHolds(by, holds *node) (end func() (code int, said string)) {
	r.f.t.Helper()
	done := make(chan struct{})
	var code int
	var said string
	go func() {
		defer close(done)
		code, said = r.activate(by, "10s")
	}()
	r.f.until(holds.name+" holds requests", func() error {
		c, out, _ := holds.runCtl("releases", "-json")
		var all struct {
			Rollouts []struct {
				Phase  string    `json:"phase"`
				Frozen time.Time `json:"frozen"`
			} `json:"rollouts"`
		}
		err := json.Unmarshal(out, &all)
		if n := len(all.Rollouts); c != 0 || err != nil || n == 0 || all.Rollouts[n-1].Phase != "staging" ||
			all.Rollouts[n-1].Frozen.IsZero() {
			return fmt.Errorf("exit code %d, %v: %+v", c, err, all)
		}
		return nil
	})
	return func() (int, string) {
		<-done
		return code, said
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Releases are put in force strictly while readers hammer all nodes. Whatever one reader was shown by one node, no
// reader is shown anything older by any node after that: while handlers take their time, while nodes are stopped in
// their tracks or killed within the hold, and after they are back.
// Slow: a farm of processes, a node of which has to be taken for dead.
func TestStrict(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("its processes have no race detector in them; the packages have the same in fake time")
	}
	rounds, lost := 4, 1
	if ci.Torture() {
		rounds, lost = 200, 20
	}
	r := &strictRoom{newsroom: openNewsroomAs(t, 3, slowPages)}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 9 {
		readers.Go(func() { r.follow(ctx, i) })
	}
	nodes := r.f.nodes
	for i := range rounds {
		by := nodes[i%3]
		r.held(by)
		r.goes(by, "10s") // it has applied what others have, since it has what is held
	}
	r.lasts()
	r.tooLong()
	for range lost {
		r.stopped(r.f.follower(), 600*time.Millisecond)
		r.stopped(r.f.leader(), 3*time.Second)
		r.killed(r.f.follower())
		r.killed(r.f.leader())
	}
	r.away()

	cancel()
	readers.Wait()
	t.Logf("%d pages were read", r.seen)
	if len(r.wrong) > 0 {
		t.Error(strings.Join(r.wrong, "\n"))
	}
	r.f.end()
}

// lasts: an answer that has begun, and goes on, holds nobody up.
func (r *strictRoom) lasts() {
	r.f.t.Helper()
	r.held(r.f.nodes[0])
	end := r.slow(r.f.nodes[1], "&begun")
	r.goes(r.f.nodes[0], "10s")
	end()
}

// tooLong: while a handler does not answer, nothing is switched, and nobody waits for longer than was said.
func (r *strictRoom) tooLong() {
	t, by := r.f.t, r.f.nodes[0]
	t.Helper()
	r.held(by)
	end := r.slow(r.f.nodes[1], "")
	code, said := r.activate(by, "500ms")
	if code != 5 || !strings.Contains(said, "n2: 1 request has no answer yet") {
		t.Errorf("a slow page: exit code %d: %s", code, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, n := range r.f.nodes {
		if got, err := r.read(ctx, r.f.client, n); err != nil || got != r.last.Load() {
			t.Errorf("%s shows %d, %v after that, want %d", n.name, got, err, r.last.Load())
		}
	}
	end()
	r.goes(by, "10s")
}

// stopped: a node that holds is stopped in its tracks while the others switch.
func (r *strictRoom) stopped(n *node, d time.Duration) {
	r.f.t.Helper()
	by := r.other(n)
	r.held(by)
	slow := r.slow(by, "")
	end := r.beginsAndHolds(by, n)
	pause(r.f.t.Context(), pollTime) // for it to have said so
	n.signal(n.freeze)
	slow()
	pause(r.f.t.Context(), d)
	n.signal(n.thaw)
	code, said := end()
	r.f.t.Logf("%s is stopped for %v: exit code %d", n.name, d, code)
	if code != 0 && code != 5 {
		r.f.t.Errorf("exit code %d: %s", code, said)
	}
	r.f.settleUnderLoad()
	r.again(by, code)
}

// killed: a node that holds is killed, and is back before it is over.
func (r *strictRoom) killed(n *node) {
	r.f.t.Helper()
	by := r.other(n)
	r.held(by)
	slow := r.slow(by, "")
	end := r.beginsAndHolds(by, n)
	n.kill()
	n.again()
	slow()
	code, said := end()
	r.f.t.Logf("%s is killed: exit code %d", n.name, code)
	if code != 0 && code != 5 {
		r.f.t.Errorf("exit code %d: %s", code, said)
	}
	n.awaitReady()
	r.f.settleUnderLoad()
	r.again(by, code)
}

// again puts what is held in force, if that has failed before.
func (r *strictRoom) again(by *node, code int) {
	r.f.t.Helper()
	if code != 0 {
		r.goes(by, "10s")
	}
}

// away: with a member that cannot be reached nothing is begun.
func (r *strictRoom) away() {
	t := r.f.t
	t.Helper()
	n := r.f.follower()
	by := r.other(n)
	r.held(by)
	n.signal(n.freeze)
	r.f.until("the stopped node is missed", func() error {
		if v, err := by.look(); err != nil {
			return err
		} else if _, alive := v.member(n.name); alive {
			return errors.New("it is alive")
		}
		return nil
	})
	if code, said := r.activate(by, "10s"); code != 5 || !strings.Contains(said, "may serve: "+n.name) {
		t.Errorf("a node is away: exit code %d: %s", code, said)
	}
	n.signal(n.thaw)
	r.f.settleUnderLoad()
	r.goes(by, "10s")
}

// other returns another node.
func (r *strictRoom) other(than *node) *node {
	for _, n := range r.f.nodes {
		if n != than {
			return n
		}
	}
	return nil
}
