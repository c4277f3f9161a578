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

// flood sends so many requests, eight at a time, and returns how many had which status, 0 for none.
func flood(t *testing.T, n int, request func(i int) *http.Request) map[int]int {
	t.Helper()
	var mu sync.Mutex
	statuses := make(map[int]int)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				status := 0
				if res, err := tr.RoundTrip(request(i)); err == nil {
					if _, err = io.ReadAll(res.Body); err == nil {
						status = res.StatusCode
					}
					res.Body.Close()
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return statuses
}

// behind starts a front and nodes with these handlers, which it sees.
func behind(t *testing.T, cfg Config, handlers ...http.Handler) *fakeNode {
	t.Helper()
	f := newFakeFarm(t)
	cfg.Role = "front"
	front := f.add("f", cfg, never(t))
	var ids []string
	for i, h := range handlers {
		id := string(rune('a' + i))
		f.add(id, Config{}, h).gate.Admit()
		ids = append(ids, id)
	}
	front.gate.Admit()
	front.sees(ids...)
	return front
}

// Where every attempt fails, the farm is asked for a fifth more than its clients ask, and the floor; no retry
// storm.
func TestRetryStorm(t *testing.T) {
	var runs atomic.Int64
	fails := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		runs.Add(1)
		panic(http.ErrAbortHandler) // is an answer of a kind
	})
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	stands := time.Now()
	for _, c := range []struct {
		handler http.Handler
		most    int64
		status  int
	}{{fails, 300, 0}, {broken, 300 + 300/5 + 30, 503}} {
		runs.Store(0)
		cfg := Config{Routes: []Route{{Pattern: "/", RetryOn: []int{503}}}, now: func() time.Time { return stands }}
		front := behind(t, cfg, c.handler, c.handler, c.handler)
		got := flood(t, 300, func(i int) *http.Request {
			return request(t, "GET", fmt.Sprint(front.public.URL, "/", i), nil)
		})
		if runs.Load() != c.most || got[c.status] != 300 {
			t.Errorf("%d runs, not %d; statuses %v", runs.Load(), c.most, got)
		}
	}
}

// A node that does nothing but fail, and that at once, attracts no traffic.
func TestFastFailingNode(t *testing.T) {
	bad := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusInternalServerError)
	})
	good := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.Context().Done():
		}
	})
	for try := 1; ; try++ { // a node whose machine stands still is as slow as failures count
		front := behind(t, Config{}, bad, good)
		began := time.Now()
		got := flood(t, 600, func(int) *http.Request { return request(t, "GET", front.public.URL, nil) })
		took := time.Since(began)
		switch {
		case got[200]+got[500] != 600:
			t.Fatalf("of 600 requests: %v", got)
		case got[500] <= 120:
			return
		case try < 5:
		case took > time.Second: // of which a fifth would do
			ci.Latef(t, "%v for 600 requests, of which %d went to the node that fails", took, got[500])
		default:
			t.Fatalf("of 600 requests, %d went to the node that fails, in each of %d tries", got[500], try)
		}
	}
}

// A request that brings its node down, whichever has it, costs two nodes at most, and one if it must not be done
// twice. Its like, sent again by a client, costs the node that gets it and no other.
func TestDeadlyRequest(t *testing.T) {
	var runs ledger
	wires := &wires{}
	f := newFakeFarm(t)
	f.Wire = wires.add
	front := f.add("f", Config{Role: "front"}, never(t))
	ids := []string{"a", "b", "c", "d", "e"}
	for _, id := range ids {
		f.add(id, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			runs.begin(r.URL.Path, id)
			wires.kill(id)
			<-r.Context().Done()
		})).gate.Admit()
	}
	front.gate.Admit()
	front.sees(ids...)
	for i, c := range []struct {
		method, path string
		most         int // runs of all requests of this path
	}{{"GET", "/get", 2}, {"GET", "/get", 3}, {"POST", "/post", 1}} {
		res, _ := fetch(t, request(t, c.method, front.public.URL+c.path, nil))
		if on := runs.of(c.path); res.StatusCode != http.StatusBadGateway || len(on) != c.most {
			t.Errorf("%d, %s %s: %s, and it ran on %q", i, c.method, c.path, res.Status, on)
		}
	}
}

// Where all nodes refuse, a request is refused, once, and nobody passes it round.
func TestEverybodyRefuses(t *testing.T) {
	f := newFakeFarm(t)
	front := f.add("f", Config{Role: "front"}, never(t))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		n := f.add(id, Config{}, never(t)) // says that it is ready, and is not
		f.Change(func() { n.Tags[TagGate] = "ready" })
	}
	front.gate.Admit()
	front.sees("a", "b", "c", "d", "e")
	for range 10 {
		res, body := fetch(t, request(t, "POST", front.public.URL, strings.NewReader("body")))
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || len(res.Header[idHeader]) != 1 {
			t.Fatalf("%s %v %q", res.Status, res.Header, body)
		}
	}
	peers, _ := front.gate.hop.set.Status()
	sum := 0
	for _, p := range peers {
		sum += int(p.Chosen)
		if p.Ejected > 0 {
			t.Errorf("refusals were held against a node: %+v", p)
		}
	}
	if sum != 30 {
		t.Errorf("%d attempts at 10 requests, not 3 each", sum)
	}
}
