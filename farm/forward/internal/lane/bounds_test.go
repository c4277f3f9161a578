package lane

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// However many requests there are at a time, as after a start of all nodes, few connections are dialled at
// once, and there are no more than may be. The trunk takes the requests that find none.
func TestBounds(t *testing.T) {
	const requests = mostLanes + 200
	var began sync.WaitGroup
	goOn := make(chan struct{})
	began.Add(requests)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/" {
			began.Done()
			<-goOn
		}
		io.WriteString(w, req.URL.Path)
	}))
	var now, most atomic.Int32
	dial := r.client.cfg.Dial
	r.client.cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		defer now.Add(-1)
		for n := now.Add(1); n > most.Load(); n = now.Load() {
			most.Store(n)
		}
		return dial(ctx)
	}
	var room atomic.Int32
	r.client.cfg.Take = func(bool) bool { room.Add(1); return true }
	r.client.cfg.Give = func() { room.Add(-1) }
	if _, err := r.client.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var taken []*lane // by requests, until there are as many as may be
	r.eventually(func() bool {
		for l := r.client.take(); l != nil; l = r.client.take() {
			taken = append(taken, l)
		}
		return len(taken) == mostLanes
	})
	for range 10 {
		if r.client.take() != nil {
			t.Error("there is one more lane than may be")
		}
	}
	for _, l := range taken {
		r.client.put(l)
	}
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			if out, body := r.attempt(t.Context(), "GET", "/x", nil, someFacts()); out.Err != nil || body != "/x" {
				t.Errorf("%q, %+v", body, out)
			}
		})
	}
	began.Wait()
	r.client.mu.Lock()
	lanes := len(r.client.lanes) + r.client.dials
	r.client.mu.Unlock()
	if lanes != mostLanes {
		t.Errorf("%d lanes", lanes)
	}
	close(goOn)
	all.Wait()
	if n := most.Load(); n > maxDials+1 {
		t.Errorf("%d connections were dialled at once", n)
	}
	r.client.Close()
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	if n := int(room.Load()); n != len(r.client.lanes) {
		t.Errorf("room for %d connections is taken, and there are %d", n, len(r.client.lanes))
	}
}

// Without memory for bodies they stream.
func TestNoMemory(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(b)
	}))
	body := strings.Repeat("x", 40<<10)
	req, w := httptest.NewRequest("POST", "/", strings.NewReader(body)), httptest.NewRecorder()
	up := NewMemory(0).Upload(req)
	if up.Kept() {
		t.Error("it is kept")
	}
	out := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: up})
	if out.Err != nil || w.Body.String() != body {
		t.Errorf("%d bytes, %+v", w.Body.Len(), out)
	}
}
