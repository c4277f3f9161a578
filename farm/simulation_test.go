package farm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/session"
)

var (
	flashKey = session.NewKey[string]("flash")
	errBusy  = errors.New("503")
)

// simApp counts, leaves and takes a message, and ends the session.
func simApp(*farm.Farm) http.Handler {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, text string, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, text)
	}
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		reply(w, strconv.Itoa(n), err)
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) {
		reply(w, strconv.Itoa(visits.Or(r.Context(), 0)), nil)
	})
	mux.HandleFunc("POST /flash/{text}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, "", flashKey.Set(r.Context(), r.PathValue("text")))
	})
	mux.HandleFunc("POST /take", func(w http.ResponseWriter, r *http.Request) {
		text, _, err := flashKey.Take(r.Context())
		reply(w, text, err)
	})
	mux.HandleFunc("POST /end", func(w http.ResponseWriter, r *http.Request) {
		reply(w, "", session.From(r.Context()).Destroy(r.Context()))
	})
	return mux
}

// simVisitor is one client that does one thing after the other, on whichever node, and knows what it may be told.
type simVisitor struct {
	t      *testing.T
	f      *farmtest.Farm
	rnd    *rand.Rand
	name   string
	client *http.Client

	low, high  int    // the count: at least what was acknowledged or seen, at most that and what is uncertain
	flash      string // acknowledged and not taken; "?" = uncertain
	taken      map[string]bool
	ghosts     []string // Cookie headers of sessions that have ended
	acked, all int
}

func (v *simVisitor) ask(n *farmtest.Node, method, path string) (string, error) {
	req, err := http.NewRequest(method, n.URL()+path, nil)
	if err != nil {
		return "", err
	}
	return send(v.client, req)
}

func send(c *http.Client, req *http.Request) (string, error) {
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%w: %d %s", errBusy, res.StatusCode, b)
	}
	return string(b), err
}

func (v *simVisitor) node() *farmtest.Node { return v.f.Nodes[v.rnd.IntN(len(v.f.Nodes))] }

func (v *simVisitor) step() {
	v.all++
	n := v.node()
	var err error
	switch p := v.rnd.IntN(100); {
	case p < 35:
		err = v.count(n)
	case p < 75:
		err = v.read(n)
	case p < 85:
		err = v.leaveMessage(n)
	case p < 97:
		err = v.take(n)
	default:
		err = v.end(n)
	}
	if err == nil {
		v.acked++
	}
}

func (v *simVisitor) count(n *farmtest.Node) error {
	text, err := v.ask(n, "POST", "/count")
	if err != nil {
		if v.low > 0 || v.flash != "" { // else there is no session, and nobody holds the token of one that was made
			v.high++
		}
		return err
	}
	got, _ := strconv.Atoi(text)
	if got < v.low+1 || got > v.high+1 {
		v.t.Errorf("%s: counted to %d on %s, want %d to %d", v.name, got, n, v.low+1, v.high+1)
	}
	v.low, v.high = got, got // what was uncertain has lost its turn
	return nil
}

func (v *simVisitor) read(n *farmtest.Node) error {
	text, err := v.ask(n, "GET", "/count")
	if err != nil {
		return err
	}
	got, _ := strconv.Atoi(text)
	if got < v.low || got > v.high {
		v.t.Errorf("%s: read %d on %s, want %d to %d", v.name, got, n, v.low, v.high)
	}
	v.low = max(v.low, got)
	return nil
}

func (v *simVisitor) leaveMessage(n *farmtest.Node) error {
	text := fmt.Sprint(v.name, "-", v.all)
	_, err := v.ask(n, "POST", "/flash/"+text)
	if v.flash = text; err != nil {
		v.flash = "?"
	}
	return err
}

func (v *simVisitor) take(n *farmtest.Node) error {
	text, err := v.ask(n, "POST", "/take")
	if err != nil {
		v.flash = "?"
		return err
	}
	if v.taken[text] || v.flash != "?" && text != v.flash {
		v.t.Errorf("%s: took %q on %s, want %q", v.name, text, n, v.flash)
	}
	if text != "" {
		v.taken[text] = true
		if v.flash != "?" {
			v.flash = ""
		}
	}
	return nil
}

// end ends the session, however often it takes to be told so.
func (v *simVisitor) end(n *farmtest.Node) error {
	old := v.cookies(n)
	for tries := 0; ; tries++ {
		_, err := v.ask(n, "POST", "/end")
		if err == nil {
			break
		}
		if tries == 100 {
			v.t.Errorf("%s: the session cannot be ended: %v", v.name, err)
			return err
		}
		<-time.After(time.Second)
		n = v.node()
	}
	if v.low > 0 {
		v.ghosts = append(v.ghosts, old)
	}
	v.low, v.high, v.flash = 0, 0, ""
	return nil
}

func (v *simVisitor) cookies(n *farmtest.Node) string {
	req, _ := http.NewRequest("GET", n.URL(), nil)
	for _, c := range v.client.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	return req.Header.Get("Cookie")
}

// last checks, when the farm is whole again, that all nodes agree and that what has ended stays so.
func (v *simVisitor) last() {
	for _, n := range v.f.Nodes {
		if err := v.read(n); err != nil {
			v.t.Errorf("%s on %s, which is well: %v", v.name, n, err)
		}
		v.high = v.low // all have what there is
		for _, ghost := range v.ghosts {
			req, _ := http.NewRequest("GET", n.URL()+"/count", nil)
			req.Header.Set("Cookie", ghost)
			if text, err := send(n.Client(), req); err != nil || text != "0" {
				v.t.Errorf("%s: an ended session on %s: %q, %v", v.name, n, text, err)
			}
		}
	}
}

// trouble breaks one thing after the other and mends it.
func trouble(ctx context.Context, f *farmtest.Farm, rnd *rand.Rand, durable bool) {
	wait := func(most time.Duration) {
		select {
		case <-time.After(time.Duration(rnd.Int64N(int64(most)))):
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		wait(4 * time.Second)
		n := f.Nodes[rnd.IntN(len(f.Nodes))]
		switch p := rnd.IntN(10); {
		case p < 4:
			f.Partition([]*farmtest.Node{n})
		case p < 6:
			f.Cut(n, f.Nodes[rnd.IntN(len(f.Nodes))])
		case p < 7:
			f.Partition(f.Nodes[:1], f.Nodes[1:2]) // and the rest: nobody has a majority of three
		default:
			n.Kill()
			wait(8 * time.Second)
			n.Restart()
			if !durable { // it has lost its vote: a second one that loses its own before it has a new one is too many
				<-time.After(30 * time.Second)
			}
			continue
		}
		wait(6 * time.Second)
		f.Heal()
	}
	f.Heal()
}

// rekey has new keys made all the time, and at times has them sign although members lack them.
func rekey(ctx context.Context, f *farmtest.Farm, rnd *rand.Rand, every time.Duration) {
	for ctx.Err() == nil {
		select {
		case <-time.After(time.Duration(rnd.Int64N(int64(every)))):
		case <-ctx.Done():
		}
		keys := f.Nodes[rnd.IntN(len(f.Nodes))].Farm().Keys()
		short, cancel := context.WithTimeout(ctx, every)
		newest := uint32(0)
		for _, i := range keys.List() {
			if i.Purpose == session.KeyPurpose {
				newest = i.ID
			}
		}
		keys.Rotate(short, session.KeyPurpose, newest) // as the farm is, it may fail
		if rnd.IntN(2) == 0 {
			keys.Proceed(short, session.KeyPurpose, newest+1, time.Hour)
		}
		cancel()
	}
}

// Visitors with cookies go from node to node while the farm suffers, and its keys change. What they were told is done stays done and is done
// once, nothing they have seen is undone, one of many takes a message, and what has ended never comes back.
// Slow: a bubble has no disk, so the durable farm lives in real time.
func TestSimulation(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("WEBFARM_SEED"), 10, 64)
	if seed == 0 && os.Getenv("WEBFARM_MINUTES") != "" { // make sim; plain `go test` takes the same each time
		seed = rand.Uint64()
	}
	seed = max(seed, 1)
	for _, c := range []struct {
		name string
		farmtest.Config
	}{{"durable", farmtest.Config{Durable: true}}, {"memory", farmtest.Config{}}} {
		c.Handler = simApp
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			again := fmt.Sprintf("repeat with: make sim SEED=%d PKG=./farm", seed)
			t.Log(again)
			t.Cleanup(func() {
				if t.Failed() {
					t.Error(again) // last, where a log that was cut off at its beginning still has it
				}
			})
			body := func(t *testing.T, f *farmtest.Farm) { simulate(t, f, seed, c.Durable) }
			if c.Durable { // a bubble has no disk
				body(t, c.New(t))
				return
			}
			c.Run(t, body)
		})
	}
}

// fewest are the answers that a visitor must get for the simulation to tell anything.
const fewest = 10

func simulate(t *testing.T, f *farmtest.Farm, seed uint64, durable bool) {
	long := 90 * time.Second
	if race.Enabled {
		long /= 2 // which takes as long
	}
	if minutes, _ := strconv.Atoi(os.Getenv("WEBFARM_MINUTES")); minutes > 0 {
		long = time.Duration(minutes) * time.Minute
	}
	if durable {
		long /= 9 // it is real time
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	var visitors []*simVisitor
	for i := range 6 {
		v := &simVisitor{t: t, f: f, rnd: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint("v", i), client: f.Browser(),
			taken: map[string]bool{}}
		visitors = append(visitors, v)
		wg.Go(func() {
			for ctx.Err() == nil || v.acked < fewest && v.all < 100*fewest { // a slow machine takes longer
				v.step()
				<-time.After(time.Duration(v.rnd.IntN(60)) * time.Millisecond)
			}
		})
	}
	wg.Go(func() { rekey(ctx, f, rand.New(rand.NewPCG(seed, 98)), long/16) })
	trouble(ctx, f, rand.New(rand.NewPCG(seed, 99)), durable)
	wg.Wait()
	f.Settle()
	for _, n := range f.Nodes {
		if id, _, ok := n.Farm().Keys().Current(session.KeyPurpose); !ok || id < 3 && !durable { // in fake time
			t.Errorf("%s signs by key %d: too few have come to tell anything", n, id)
		}
	}
	var tally []string
	for _, v := range visitors {
		v.last()
		tally = append(tally, fmt.Sprintf("%s %d of %d, %d ended", v.name, v.acked, v.all, len(v.ghosts)))
		if v.acked < fewest {
			t.Errorf("%s got %d answers: too few to tell anything", v.name, v.acked)
		}
	}
	t.Log(strings.Join(tally, "; "))
}
