package forward

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// A node is killed under load. Of the requests that it had, those that must not be done twice fail, with 502; all
// others are answered by the nodes that are left, and nothing that must not is done twice.
func TestKilledNode(t *testing.T) {
	const clients, each, before = 8, 30, 20
	var runs ledger
	wires := &wires{}
	f := newFakeFarm(t)
	f.Wire = wires.add
	front := f.add("f", Config{Role: "front"}, never(t))
	var had atomic.Int32 // requests that b had
	enough := make(chan struct{})
	nodes := map[string]*fakeNode{}
	for _, id := range []string{"a", "b", "c"} {
		nodes[id] = f.add(id, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			runs.begin(r.URL.Path, id)
			if id == "b" && had.Add(1) == before {
				close(enough)
			}
			io.Copy(w, r.Body)
		}))
		nodes[id].gate.Admit()
	}
	front.gate.Admit()
	front.sees("a", "b", "c")
	var mu sync.Mutex
	lost := 0
	var wg sync.WaitGroup
	for i := range 2 * clients {
		method := []string{"GET", "POST"}[i%2]
		wg.Go(func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			for j := range each {
				path := fmt.Sprintf("/%s-%d-%d", method, i, j)
				res, err := tr.RoundTrip(request(t, method, front.public.URL+path, strings.NewReader("body")))
				if err != nil {
					t.Error(path, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				on := runs.of(path)
				switch {
				case res.StatusCode == 200 && string(body) == "body" && err == nil && (len(on) == 1 || method == "GET"):
				case res.StatusCode == 502 && method == "POST" && len(on) <= 1:
					mu.Lock()
					lost++
					mu.Unlock()
				default:
					t.Errorf("%s: %s %q %v, and it ran on %q", path, res.Status, body, err, on)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		wg.Wait()
	}()
	select {
	case <-enough:
	case <-over:
		t.Fatal("the node was not killed")
	}
	b := nodes["b"]
	f.Change(func() { b.Unreachable = true })
	wires.kill("b")
	f.Change(func() { b.Status = cluster.Dead })
	<-over
	if lost > 2*clients { // a connection that was being dialled may have had as many as those that were there
		t.Errorf("%d requests were lost, of %d clients", lost, clients)
	}
}
