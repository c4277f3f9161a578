package forward

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A drain that is taken back leaves the gate as it was: open, ready, chosen by peers, serving by itself. It
// can drain again.
func TestGate_Reopen(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Linger: time.Hour, DrainTimeout: 3 * time.Hour}, text("a"))
	b := f.add("b", Config{}, text("b"))
	if a.gate.Reopen() {
		t.Error("nothing drained")
	}
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	b.sees("a")
	for range 2 {
		retired := make(chan error)
		go func() { retired <- a.gate.Retire(t.Context()) }()
		b.sees()
		undone := a.gate.Drain() // the same drain
		if _, body := get(t, a.public.URL); body != "b" {
			t.Errorf("draining: %q", body)
		}
		if err := a.gate.Ready(); err == nil {
			t.Error("ready while it drains")
		}
		if !a.gate.Reopen() {
			t.Error("not taken back")
		}
		if err := <-retired; err != ErrUndrained {
			t.Errorf("Retire: %v", err)
		}
		<-undone
		b.sees("a")
		res, body := get(t, a.public.URL)
		if body != "a" || res.Header.Get("Connection") != "" {
			t.Errorf("open again: %q, Connection: %q", body, res.Header.Get("Connection"))
		}
		if err := a.gate.Ready(); err != nil {
			t.Error(err)
		}
	}
	a.gate.Close()
	if a.gate.Reopen() {
		t.Error("reopened after Close")
	}
}

// Drains that begin and are taken back again and again, while clients come to both nodes, lose no request, and none
// is carried out twice.
func TestGate_ReopenUnderLoad(t *testing.T) {
	var runs ledger
	f := newFakeFarm(t)
	var nodes []*fakeNode
	for _, id := range []string{"a", "b"} {
		h := func(w http.ResponseWriter, r *http.Request) {
			runs.begin(r.URL.Path, id)
			io.Copy(w, r.Body)
		}
		n := f.add(id, Config{CloseSpread: 10 * time.Millisecond}, http.HandlerFunc(h))
		n.gate.Admit()
		nodes = append(nodes, n)
	}
	nodes[0].sees("b")
	nodes[1].sees("a")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			for j := 0; ctx.Err() == nil; j++ {
				path := fmt.Sprintf("/%d-%d", i, j)
				res, err := tr.RoundTrip(request(t, "POST", nodes[i%2].public.URL+path, strings.NewReader(path)))
				if err != nil {
					t.Error(path, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if on := runs.of(path); res.StatusCode != 200 || string(body) != path || err != nil || len(on) != 1 {
					t.Errorf("%s: %s %q %v, and it ran on %q", path, res.Status, body, err, on)
				}
			}
		})
	}
	for i := range 40 {
		n := nodes[i%2]
		n.gate.Drain()
		time.Sleep(time.Duration(i%4) * time.Millisecond)
		if !n.gate.Reopen() {
			t.Error("not taken back")
		}
	}
	stop()
	wg.Wait()
}

// A node that was not ready before the drain is not ready after it, but for what has come meanwhile.
func TestGate_ReopenBeforeReady(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Linger: -1}, text("a"))
	b := f.add("b", Config{}, text("b"))
	b.gate.Admit()
	a.gate.Drain()
	a.gate.Reopen()
	if err := a.gate.Ready(); err == nil || err.Error() != "starting" {
		t.Errorf("%v", err)
	}
	f.Change(func() {
		if tag, ok := a.Tags[TagGate]; tag != "" {
			t.Errorf("tag %q, %v", tag, ok)
		}
	})
	a.gate.Drain()
	a.gate.Admit()
	if err := a.gate.Ready(); err == nil || err.Error() != "draining" {
		t.Errorf("admitted while it drains: %v", err)
	}
	a.gate.Reopen()
	if err := a.gate.Ready(); err != nil {
		t.Error(err)
	}
	b.sees("a")
	select {
	case <-a.gate.opened:
	default:
		t.Error("who is held does not hear of it")
	}
}

// lasts answers with events until it is told to go, and then says goodbye.
func lasts(w http.ResponseWriter, r *http.Request) {
	told := Draining(r.Context())
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	select {
	case <-told:
		io.WriteString(w, "bye")
	case <-r.Context().Done():
	}
}

// listens asks for events, and returns what comes until they end.
func listens(t *testing.T, n *fakeNode, client *http.Client, accept ...string) <-chan string {
	t.Helper()
	req := request(t, "GET", n.public.URL+"/events", nil)
	req.Header.Set("Accept", cmp.Or(append(accept, "text/event-stream")...))
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	end := make(chan string, 1)
	go func() {
		b, err := io.ReadAll(bufio.NewReader(res.Body))
		end <- fmt.Sprintf("%d %s %v", res.StatusCode, b, err)
	}()
	return end
}

// deaf answers with events until its client goes, and does not ask for the drain.
func deaf(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// Streams end during the drain: by their handlers, here and elsewhere, whatever their clients have asked for;
// cut off where such a handler takes no notice; at once where there is no peer.
func TestDrain_EndsEvents(t *testing.T) {
	for name, c := range map[string]struct {
		role  Config
		alone bool
		want  string

		accept  string // nothing: events
		handler http.HandlerFunc
	}{
		"here": {want: "200 bye <nil>"},
		"alone": {want: "200 bye <nil>", alone: true,
			role: Config{CloseSpread: time.Hour, DrainTimeout: 3 * time.Hour}},
		"forwarded":       {want: "200 bye <nil>", role: Config{Role: "front"}},
		"forwarded, poll": {want: "200 bye <nil>", role: Config{Role: "front"}, accept: "*/*"},
		"forwarded, deaf": {want: "200  unexpected EOF", handler: deaf,
			role: Config{Role: "front", CloseSpread: 100 * time.Millisecond}},
	} {
		if c.handler == nil {
			c.handler = lasts
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeFarm(t)
			a := f.add("a", c.role, c.handler)
			a.gate.Admit()
			if !c.alone {
				f.add("b", Config{}, c.handler).gate.Admit()
				a.sees("b")
			}
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			var ends []<-chan string
			for range 10 {
				ends = append(ends, listens(t, a, &http.Client{Transport: tr}, c.accept))
			}
			requests, streams, routes := a.gate.Running()
			if requests != 0 || streams != 10 || !slices.Equal(routes, []string{"GET /events (10)"}) {
				t.Errorf("%d requests, %d streams, %q", requests, streams, routes)
			}
			a.gate.Drain()
			for _, end := range ends {
				if got := <-end; got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
			if n := a.gate.Idle(t.Context()); n != 0 {
				t.Errorf("%d still run", n)
			}
		})
	}
}

// An EventSource that comes while a node drains, and no peer is there, is answered and told to go: an error
// would end it for good.
func TestDrain_EventsComeLate(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, http.HandlerFunc(lasts))
	a.gate.Admit()
	a.gate.Drain()
	if got := <-listens(t, a, http.DefaultClient); got != "200 bye <nil>" {
		t.Error(got)
	}
}

// The other streams of a drain that is taken back go on.
func TestDrain_UndoneSparesStreams(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{CloseSpread: time.Hour, DrainTimeout: 3 * time.Hour}, http.HandlerFunc(lasts))
	f.add("b", Config{}, http.HandlerFunc(lasts)).gate.Admit()
	a.gate.Admit()
	a.sees("b")
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	ends := make(chan string)
	for range 20 { // within 200 ms, half of which are never told
		end := listens(t, a, &http.Client{Transport: tr})
		go func() { ends <- <-end }()
	}
	a.gate.Drain()
	<-ends
	a.gate.Reopen()
	_, left, _ := a.gate.Running()
	a.gate.Drain()
	for range 19 {
		if got := <-ends; got != "200 bye <nil>" {
			t.Error(got)
		}
	}
	t.Logf("%d streams were left", left)
}

// In the first moments of a drain the connections of some clients stay open, later of none.
func TestDrain_ConnectionsPart(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, text("a"))
	f.add("b", Config{}, text("b")).gate.Admit()
	a.gate.Admit()
	a.sees("b")
	a.gate.Drain()
	share := func(ago time.Duration) (n int) {
		a.gate.stageMu.Lock()
		a.gate.drainage.began = time.Now().Add(-ago)
		a.gate.stageMu.Unlock()
		for range 1000 {
			if a.gate.parts() {
				n++
			}
		}
		return n
	}
	if n := share(time.Second); n != 1000 {
		t.Errorf("after a second %d of 1000 part", n)
	}
	if n := share(200 * time.Millisecond); n < 100 || n == 1000 {
		t.Errorf("after a fifth of it %d of 1000 part", n)
	}
}

// What an end of the drain cuts off is named by route, the most frequent first.
func TestRunning(t *testing.T) {
	f := newFakeFarm(t)
	here, finish := make(chan struct{}), make(chan struct{})
	a := f.add("a", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		here <- struct{}{}
		<-finish
	}))
	a.gate.Admit()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	paths := "/c /a /b /b /1 /2 /3 /4 /5 /6 /7 /8"
	for path := range strings.FieldsSeq(paths) {
		req := request(t, "POST", a.public.URL+path, strings.NewReader("x")).WithContext(ctx)
		go http.DefaultClient.Do(req)
		<-here
	}
	n, streams, routes := a.gate.Running()
	want := "POST /b (2), POST /1, POST /2, POST /3, POST /4, POST /5, POST /6, POST /7, 3 others"
	if got := strings.Join(routes, ", "); n != 12 || streams != 0 || got != want {
		t.Errorf("%d requests, %d streams: %s", n, streams, got)
	}
	close(finish)
	a.gate.Idle(t.Context())
	if n, streams, routes := a.gate.Running(); n != 0 || streams != 0 || len(routes) != 0 {
		t.Errorf("%d requests, %d streams: %s", n, streams, routes)
	}
}
