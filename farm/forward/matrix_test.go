package forward

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// ledger notes which nodes have begun to run which request.
type ledger struct {
	mu   sync.Mutex
	runs map[string][]string // by the request's path
}

// begin notes a run and returns how many there were before.
func (l *ledger) begin(path, node string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = make(map[string][]string)
	}
	l.runs[path] = append(l.runs[path], node)
	return len(l.runs[path]) - 1
}

func (l *ledger) of(path string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[path]
}

// matrix is a front and three nodes whose handlers end as a request says, and kill their node with it.
type matrix struct {
	t     *testing.T
	front *fakeNode
	nodes map[string]*fakeNode
	wires wires
	runs  ledger
	busy  sync.WaitGroup                // handlers
	past  atomic.Int64                  // nanoseconds by which the front is ahead
	seen  atomic.Pointer[chan struct{}] // closed when the client has the head of its answer
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{t: t, nodes: make(map[string]*fakeNode)}
	f := newFakeFarm(t)
	f.Wire = m.wires.add
	routes := []Route{{Pattern: "/idempotent/", Idempotent: true}}
	m.front = f.add("f", Config{Role: "front", Routes: routes, now: func() time.Time {
		return time.Now().Add(time.Duration(m.past.Load()))
	}}, never(t))
	for _, id := range []string{"a", "b", "c"} {
		m.nodes[id] = f.add(id, Config{}, http.HandlerFunc(m.serve))
		m.nodes[id].gate.Admit()
	}
	m.front.gate.Admit()
	m.front.sees("a", "b", "c")
	return m
}

// serve does on the first run of a request what the request says.
func (m *matrix) serve(w http.ResponseWriter, r *http.Request) {
	m.busy.Add(1)
	defer m.busy.Done()
	node := strings.ToLower(FromContext(r.Context()).Node)
	end := r.Header.Get("End")
	if m.runs.begin(r.URL.Path, node) > 0 {
		end = ""
	}
	switch end {
	case "lost before the body":
		m.wires.kill(node)
		return
	case "lost after a hint":
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
	}
	if end == "lost in the body" {
		io.CopyN(io.Discard, r.Body, partOfBody)
		m.wires.kill(node)
		return
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch end {
	case "lost behind the body", "lost after a hint":
		m.wires.kill(node)
		return
	case "lost after a write":
		if err := Mark(r.Context()); err != nil {
			m.t.Error(err)
		}
		m.wires.kill(node)
		return
	case "panic":
		panic("as the test wants it")
	case "declined":
		if r.ContentLength == 0 && !Decline(r) {
			m.t.Error("the request cannot be declined")
		}
		return
	case "lost in the answer":
		io.WriteString(w, "begun")
		http.NewResponseController(w).Flush()
		<-*m.seen.Load()
		m.wires.kill(node)
		return
	}
	fmt.Fprint(w, n)
}

// partOfBody is how much of a long body has been read when its node is lost in it.
const partOfBody = 1 << 20

// fresh has the front forget what it knows of its peers and of requests, and prefer one of them.
func (m *matrix) fresh(first string) {
	h := m.front.gate.hop
	m.past.Add(int64(10 * time.Minute))
	for _, p := range *h.eligible.Load() {
		p.pick.Avoid(time.Hour)
		p.pick.SetDown(false) // as it may still be
		if p.id == first {
			p.pick.Avoid(0)
		}
	}
}

type trial struct {
	method, end, route string
	body               int
	chunked            bool
}

func (c trial) String() string {
	return fmt.Sprintf("%s %s, %d bytes, chunked %v, %s", c.method, c.route, c.body, c.chunked, c.end)
}

// want says what the rules make of a trial: the status, 0 for a connection that is cut, and how many runs
// there are.
func (c trial) want() (status, runs int) {
	safe := c.route == "idempotent" || strings.Contains("GET HEAD OPTIONS TRACE", c.method)
	again := safe && c.inline() // only then does a peer say that it has changed something
	switch c.end {
	case "":
		return 200, 1
	case "unreachable", "refused":
		return 200, 1
	case "declined":
		return 200, 2 // the first one does nothing
	case "lost in the answer":
		return 0, 1
	case "lost after a write":
		return 502, 1
	case "panic":
		if again {
			return 200, 2
		}
		return 0, 1
	}
	if again {
		return 200, 2
	}
	return 502, 1
}

// inline reports whether the body is short and its length known: it is kept, and every peer can have it.
func (c trial) inline() bool { return !c.chunked && c.body <= 64<<10 }

// run runs one trial.
func (m *matrix) run(i int, c trial) {
	m.t.Helper()
	first := []string{"a", "b", "c"}[i%3]
	m.fresh(first)
	node := m.nodes[first]
	switch c.end {
	case "unreachable":
		m.wires.kill(first)
		node.farm.Change(func() { node.Unreachable = true })
		defer node.farm.Change(func() { node.Unreachable = false })
	case "refused":
		node.gate.stage.Store(int32(starting))
		defer node.gate.stage.Store(int32(open))
	}
	path := fmt.Sprintf("/%s/%d", c.route, i)
	req := request(m.t, c.method, m.front.public.URL+path, nil)
	if c.body > 0 || c.chunked {
		req.Body = io.NopCloser(io.LimitReader(zeros{}, int64(c.body)))
	}
	if req.ContentLength = int64(c.body); c.chunked {
		req.ContentLength = -1
	}
	req.Header.Set("End", c.end)
	status, seen := 0, make(chan struct{})
	m.seen.Store(&seen)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	close(seen)
	if err == nil {
		status = res.StatusCode
		if _, err := io.ReadAll(res.Body); err != nil {
			status = 0
		}
		res.Body.Close()
	}
	m.busy.Wait() // a node that dies does so before the next trial
	wantStatus, wantRuns := c.want()
	if c.method == "HEAD" && c.end == "lost in the answer" {
		wantStatus = 200 // nothing of it is missing
	}
	runs := m.runs.of(path)
	if status != wantStatus || len(runs) != wantRuns {
		m.t.Errorf("%v: %d after runs on %v, not %d after %d (%v)", c, status, runs, wantStatus, wantRuns, err)
	}
	if len(runs) > 1 && runs[0] == runs[1] {
		m.t.Errorf("%v: twice on %s", c, runs[0])
	}
}

// TestRetryMatrix runs all kinds of requests against all kinds of ends, over real lanes, and compares what
// became of them, and how often their handlers ran, with the rules. By make torture all of them, otherwise
// every seventh.
func TestRetryMatrix(t *testing.T) {
	m := newMatrix(t)
	step := 7 // no divisor of the numbers of what is combined
	if ci.Torture() {
		step = 1
	}
	i := 0
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "PURGE"} {
		for _, route := range []string{"plain", "idempotent"} {
			for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64 << 10, 64<<10 + 1, -1, -100_000} {
				for _, end := range []string{"", "unreachable", "refused", "declined",
					"lost before the body", "lost behind the body",
					"lost after a hint", "lost after a write", "panic", "lost in the answer"} {
					c := trial{method: method, end: end, route: route, body: size}
					if size < 0 {
						c.body, c.chunked = -size, true
					}
					if i++; i%step != 0 || end == "declined" && size != 0 || method == "TRACE" && size != 0 {
						continue
					}
					m.run(i, c)
				}
			}
		}
	}
}

// TestKillAtEveryByte cuts the connections to a peer after each byte of an exchange, one direction after the
// other: the lane alone, or all of them. What is not safe to do twice runs once at most, and 503 is said only
// of what did not run. By make torture at every byte, otherwise at every 23rd.
func TestKillAtEveryByte(t *testing.T) {
	m := newMatrix(t)
	step := 23
	if ci.Torture() {
		step = 1
	}
	i := 0
	for _, method := range []string{"POST", "GET"} {
		for _, sent := range []bool{true, false} {
			for _, all := range []bool{true, false} {
				offset := i % step
				for ; m.killAt(i, method, &cut{sent: sent, all: all, after: offset}); offset += step {
					i++
				}
				if offset < 40 {
					t.Errorf("%s: the exchange is over after %d bytes (sent: %v)", method, offset, sent)
				}
				i++
			}
		}
	}
}

// killAt reports whether the exchange has come as far as the cut.
func (m *matrix) killAt(i int, method string, c *cut) bool {
	m.t.Helper()
	c.to = []string{"a", "b", "c"}[i%3]
	m.fresh(c.to)
	where := fmt.Sprintf("%s cut after %d bytes (sent: %v, all: %v)", method, c.after, c.sent, c.all)
	for range 2 { // the second one has a warm lane
		if res, _ := fetch(m.t, request(m.t, "GET", m.front.public.URL+"/warm", nil)); res.StatusCode != 200 {
			m.t.Fatalf("%s: nothing works any more: %s", where, res.Status)
		}
	}
	m.fresh(c.to)
	path := fmt.Sprintf("/plain/kill-%d", i)
	m.wires.arm(c)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(
		request(m.t, method, m.front.public.URL+path, strings.NewReader("the body")))
	status := 0
	if err == nil {
		status = res.StatusCode
		if b, err := io.ReadAll(res.Body); err != nil {
			status = 0
		} else if status == 200 && string(b) != "8" {
			m.t.Errorf("%s: 200 with %q", where, b)
		}
		res.Body.Close()
	}
	m.busy.Wait()
	m.wires.mu.Lock()
	reached := m.wires.armed == nil
	m.wires.armed = nil
	m.wires.mu.Unlock()
	runs := len(m.runs.of(path))
	switch {
	case method == "POST" && runs > 1:
		m.t.Errorf("%s: it ran %d times", where, runs)
	case status == 503 && runs > 0:
		m.t.Errorf("%s: 503, and it ran", where)
	case status == 200 && runs == 0:
		m.t.Errorf("%s: 200, and it did not run", where)
	case method == "GET" && (status != 200 && status != 0 || runs > 2):
		m.t.Errorf("%s: %d after %d runs", where, status, runs)
	case status != 200 && status != 502 && status != 0:
		m.t.Errorf("%s: %d", where, status)
	}
	return reached
}
