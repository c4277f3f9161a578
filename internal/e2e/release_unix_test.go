//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// newsroom publishes releases of one page to a farm, whose text is a number that goes up, and has readers look at it.
type newsroom struct {
	f    *farm
	dir  string
	last atomic.Int64 // the newest number that is in force everywhere, but for nodes that were away

	mu    sync.Mutex
	wrong []string // what readers have complained about; guarded by mu
	seen  int      // pages; guarded by mu
}

// openNewsroom returns a newsroom for a farm of so many nodes that have published number 1.
func openNewsroom(t *testing.T, nodes int) *newsroom { return openNewsroomAs(t, nodes, justServes) }

// openNewsroomAs is openNewsroom of nodes that are holders of a kind.
func openNewsroomAs(t *testing.T, nodes int, kind string) *newsroom {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := newFarm(t, nodes, true)
	f.env = append(f.env, holderEnv+"="+kind)
	for _, n := range f.nodes {
		n.bin = self
	}
	f.formTogether()
	r := &newsroom{f: f, dir: filepath.Join(t.TempDir(), "site")}
	if err := os.MkdirAll(filepath.Join(r.dir, "public"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.publish(f.nodes[0])
	return r
}

// publish publishes the next number by a node.
func (r *newsroom) publish(by *node) {
	r.f.t.Helper()
	next := r.last.Load() + 1
	r.write(next)
	if code, out, errs := by.runCtl("publish", "-timeout", "2m", r.dir); code != 0 {
		r.f.t.Fatalf("number %d by %s: exit code %d\n%s%s", next, by.name, code, out, errs)
	}
	r.last.Store(next)
}

// write writes a number as the page.
func (r *newsroom) write(next int64) {
	r.f.t.Helper()
	page := filepath.Join(r.dir, "public", "index.html")
	if err := os.WriteFile(page, []byte(strconv.FormatInt(next, 10)), 0o644); err != nil {
		r.f.t.Fatal(err)
	}
}

// read returns the number that a node shows.
func (r *newsroom) read(ctx context.Context, client *http.Client, n *node) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr()+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Sec-Fetch-Dest", "document")
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// complain notes what must not be.
func (r *newsroom) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) < 10 {
		r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	}
}

// reader looks at one node after the other, and remembers what it has seen, as a browser does.
func (r *newsroom) reader(ctx context.Context, seed uint64) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	client := &http.Client{Timeout: lookTime, Jar: jar, Transport: &http.Transport{DisableKeepAlives: seed%2 == 0}}
	rng := rand.New(rand.NewPCG(1, seed))
	var newest int64
	for ctx.Err() == nil {
		n := r.f.nodes[rng.IntN(len(r.f.nodes))]
		got, err := r.read(ctx, client, n)
		if err != nil {
			time.Sleep(pollTime) // a node that is stopped, or was killed
			continue
		}
		if got < newest {
			r.complain("a client that had seen %d was shown %d by %s", newest, got, n.name)
		}
		newest = max(newest, got)
		r.mu.Lock()
		r.seen++
		r.mu.Unlock()
	}
}

// returns checks a node that is back: from its first answer on it shows nothing older than what was in force when it
// was asked. before are requests that came while it was away.
func (r *newsroom) returns(n *node, back func()) {
	r.f.t.Helper()
	ctx, cancel := context.WithTimeout(r.f.t.Context(), patience)
	defer cancel()
	want := r.last.Load()
	var wg sync.WaitGroup
	for range 8 { // the kernel takes these connections for a process that is stopped
		wg.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			if got, err := r.read(ctx, client, n); err == nil && got < want {
				r.complain("%s, asked while it was away, shows %d; %d is in force", n.name, got, want)
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // so that they are there
	back()
	wg.Wait()
	client := &http.Client{Timeout: lookTime, Transport: &http.Transport{DisableKeepAlives: true}}
	for good := 0; good < 20 && ctx.Err() == nil; {
		got, err := r.read(ctx, client, n)
		if err != nil {
			time.Sleep(pollTime)
			continue
		}
		if good++; got < want {
			r.complain("%s is back, and shows %d; %d is in force", n.name, got, want)
		}
	}
}

var switchedLine = regexp.MustCompile(`"time":"([^"]+)","level":"INFO","msg":"switched",.*"epoch":(\d+)`)

// skews returns, sorted, how far the nodes' switches to each epoch were apart, as their logs say.
func (r *newsroom) skews() (all []time.Duration) {
	at := map[string][]time.Time{}
	for _, n := range r.f.nodes {
		for _, m := range switchedLine.FindAllStringSubmatch(n.out.String(), -1) {
			if t, err := time.Parse(time.RFC3339Nano, m[1]); err == nil {
				at[m[2]] = append(at[m[2]], t)
			}
		}
	}
	for _, times := range at {
		if len(times) == len(r.f.nodes) {
			slices.SortFunc(times, time.Time.Compare)
			all = append(all, times[len(times)-1].Sub(times[0]))
		}
	}
	slices.Sort(all)
	return all
}

// Releases are published one after the other, while readers look at all nodes, and nodes are stopped in their tracks,
// or killed. No reader sees a release go back, and no node that was away shows an old one once it is back.
// Slow: a farm of processes, a node of which has to be taken for dead twice.
func TestReleases(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("its processes have no race detector in them; the packages have the same in fake time")
	}
	nodes, rounds := 3, 8
	if ci.Torture() {
		nodes, rounds = 5, 1000
	}
	r := openNewsroom(t, nodes)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 6 {
		readers.Go(func() { r.reader(ctx, uint64(i)) })
	}
	began := time.Now()
	for i := range rounds {
		r.publish(r.f.nodes[i%nodes])
	}
	if skews := r.skews(); len(skews) > 0 {
		t.Logf("%d releases in %v; the nodes' switches are %v apart in the median, %v in 99 of 100 and %v at most", rounds,
			time.Since(began).Round(time.Millisecond), skews[len(skews)/2], skews[len(skews)*99/100], skews[len(skews)-1])
	}

	away := r.f.follower()
	others := slices.DeleteFunc(slices.Clone(r.f.nodes), func(n *node) bool { return n == away })
	away.signal(away.freeze)
	for range 2 {
		r.publish(others[0])
	}
	r.returns(away, func() { away.signal(away.thaw) })
	away.kill()
	r.publish(others[0])
	r.returns(away, away.again)
	r.f.settle()
	r.publish(away)

	cancel()
	readers.Wait()
	t.Logf("%d pages were read", r.seen)
	if len(r.wrong) > 0 {
		t.Error(strings.Join(r.wrong, "\n"))
	}
	r.f.end()
}
