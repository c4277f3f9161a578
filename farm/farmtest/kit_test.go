package farmtest_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/session"
)

var realFlag = flag.Bool("farmtest.real", false, "run every test outside of a bubble as well, as make torture does; takes minutes")

// bubble runs body in a bubble.
func bubble(t *testing.T, c farmtest.Config, body func(t *testing.T, f *farmtest.Farm)) {
	c.Handler = application
	if *realFlag || ci.Torture() {
		both(t, c, body)
		return
	}
	c.Run(t, body)
}

func TestMain(m *testing.M) {
	ci.Beside(2) // those in real time wait
	ci.LessGC()
	os.Exit(ci.Main(m))
}

// both runs body in a bubble and, unless -short is given, outside of one.
func both(t *testing.T, c farmtest.Config, body func(t *testing.T, f *farmtest.Farm)) {
	c.Handler = application
	t.Run("bubble", func(t *testing.T) { c.Run(t, body) })
	t.Run("real", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes seconds")
		}
		t.Parallel()
		body(t, c.New(t))
	})
}

// kinds runs body by one of the above, for a farm in memory and for a durable one.
func kinds(t *testing.T, c farmtest.Config, mode func(*testing.T, farmtest.Config, func(*testing.T, *farmtest.Farm)),
	body func(t *testing.T, f *farmtest.Farm)) {
	t.Run("memory", func(t *testing.T) { mode(t, c, body) })
	c.Durable = true
	t.Run("durable", func(t *testing.T) { mode(t, c, body) })
}

var notes = session.NewKey[[]string]("notes")

// application keeps a list of notes in the session.
func application(*farm.Farm) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		note := r.URL.Query().Get("note")
		all, err := notes.Update(r.Context(), func(all []string, _ bool) ([]string, error) { return append(all, note), nil })
		reply(w, all, err)
	})
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		reply(w, notes.Or(r.Context(), nil), nil)
	})
	mux.HandleFunc("DELETE /notes", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, session.From(r.Context()).Destroy(r.Context()))
	})
	mux.HandleFunc("GET /node", func(w http.ResponseWriter, r *http.Request) {
		reply(w, []string{farm.Info(r.Context()).Node}, nil)
	})
	return mux
}

// reply tells apart what certainly was not done.
func reply(w http.ResponseWriter, all []string, err error) {
	switch {
	case err == nil:
		json.NewEncoder(w).Encode(all)
		return
	case errors.Is(err, session.ErrNoLeader), errors.Is(err, session.ErrOverloaded),
		errors.Is(err, session.ErrEnded), errors.Is(err, session.ErrConflict):
		w.Header().Set("Outcome", "none")
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// errRefused says that a request certainly had no effect.
var errRefused = errors.New("refused")

// call sends a request and returns the list in the answer.
func call(c *http.Client, method, url string) (all []string, err error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	return do(c, req)
}

func do(c *http.Client, req *http.Request) (all []string, err error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.Header.Get("Outcome") == "none":
		return nil, fmt.Errorf("%w: %s: %s", errRefused, resp.Status, body)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", resp.Status, body)
	}
	return all, json.Unmarshal(body, &all)
}

// visitor is a browser with a memory: it knows what it was told, and fails the test when the farm contradicts itself.
type visitor struct {
	t      *testing.T
	name   string
	client *http.Client
	count  int // notes written
	told   int // acknowledged ones among them
	acked  []string
	open   map[string]bool // notes whose outcome is unknown
	seen   []string        // the last list
	ended  []former
}

// former is a session that was ended, and what proves that.
type former struct {
	cookies []*http.Cookie
	sure    bool // the farm said so
}

func newVisitor(t *testing.T, f *farmtest.Farm, name string) *visitor {
	return &visitor{t: t, name: name, client: f.Browser(), open: map[string]bool{}}
}

// write adds a note. An error says that it is not certain to be there.
func (v *visitor) write(n *farmtest.Node) error {
	v.t.Helper()
	v.count++
	note := fmt.Sprintf("%s.%d", v.name, v.count)
	known := v.cookies(n) != nil
	all, err := call(v.client, "POST", n.URL()+"/notes?note="+note)
	switch {
	case err == nil:
		v.acked = append(v.acked, note)
		v.told++
		v.check(n, all)
	case known && !errors.Is(err, errRefused): // without a cookie it went to a session that nobody will see again
		v.open[note] = true
	}
	return err
}

// read reads the list. An error says that it could not be read.
func (v *visitor) read(n *farmtest.Node) error {
	v.t.Helper()
	all, err := call(v.client, "GET", n.URL()+"/notes")
	if err == nil {
		v.check(n, all)
	}
	return err
}

// check compares what the visitor is shown with what it knows.
func (v *visitor) check(n *farmtest.Node, all []string) {
	v.t.Helper()
	if len(all) < len(v.seen) || !slices.Equal(all[:len(v.seen)], v.seen) {
		v.t.Errorf("%s, at %s: the session went back from %v to %v", v.name, n, v.seen, all)
	}
	v.seen = all
	counts := map[string]int{}
	for _, note := range all {
		counts[note]++
	}
	for _, note := range v.acked {
		if counts[note] == 0 {
			v.t.Errorf("%s, at %s: %s was acknowledged and is missing in %v", v.name, n, note, all)
		}
	}
	for note, count := range counts {
		if count > 1 {
			v.t.Errorf("%s, at %s: %s is there %d times", v.name, n, note, count)
		}
		if !v.open[note] && !slices.Contains(v.acked, note) {
			v.t.Errorf("%s, at %s: %s is there, of which it was said that it is not", v.name, n, note)
		}
	}
}

func (v *visitor) cookies(n *farmtest.Node) []*http.Cookie {
	req, _ := http.NewRequest("GET", n.URL(), nil)
	return v.client.Jar.Cookies(req.URL)
}

// leave ends the session. The visitor then begins anew, whatever the answer.
func (v *visitor) leave(f *farmtest.Farm, n *farmtest.Node) error {
	v.t.Helper()
	cookies := v.cookies(n)
	_, err := call(v.client, "DELETE", n.URL()+"/notes")
	if cookies != nil {
		v.ended = append(v.ended, former{cookies, err == nil})
	}
	v.client, v.acked, v.seen, v.open = f.Browser(), nil, nil, map[string]bool{}
	return err
}

// haunt looks on n for the sessions that have ended. None must be there.
func (v *visitor) haunt(n *farmtest.Node) {
	v.t.Helper()
	for _, e := range v.ended {
		if !e.sure {
			continue
		}
		req, _ := http.NewRequest("GET", n.URL()+"/notes", nil)
		for _, c := range e.cookies {
			req.AddCookie(c)
		}
		if all, err := do(n.Client(), req); err != nil || len(all) > 0 {
			v.t.Errorf("%s, at %s: an ended session shows %v (%v)", v.name, n, all, err)
		}
	}
}

// must retries what a node may refuse for a moment, while it has no leader.
func must(t *testing.T, limit time.Duration, what string, try func() error) (took time.Duration) {
	t.Helper()
	begin := time.Now()
	for {
		err := try()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		tick := time.NewTimer(10 * time.Millisecond)
		<-tick.C
	}
}

// mustWrite has the visitor add one note for certain.
func (v *visitor) mustWrite(n *farmtest.Node, limit ...time.Duration) {
	v.t.Helper()
	l := time.Duration(0)
	if len(limit) > 0 {
		l = limit[0]
	}
	must(v.t, cmp.Or(l, time.Nanosecond), v.name+" writes at "+n.Name(), func() error { return v.write(n) })
}

// everywhere has the visitor read at every running node.
func (v *visitor) everywhere(f *farmtest.Farm) {
	v.t.Helper()
	for _, n := range f.Running() {
		if err := v.read(n); err != nil {
			v.t.Errorf("%s reads at %s: %v", v.name, n, err)
		}
		v.haunt(n)
	}
}

// pass lets time go by, on the farm's clock.
func pass(d time.Duration) { <-time.After(d) }

// wander writes and reads at one node after the other until stop.
func (v *visitor) wander(f *farmtest.Farm, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		n := f.Nodes[i%len(f.Nodes)]
		if i%4 == 3 {
			v.read(n)
		} else if err := v.write(n); err != nil {
			v.t.Logf("%s at %s: %v", v.name, n, err)
		}
	}
}
