package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
)

// two starts two nodes that are ready, with the same application, and returns them once a sees b.
func two(t *testing.T, cfg Config, h http.Handler) (a, b *fakeNode) {
	t.Helper()
	f := newFakeFarm(t)
	a, b = f.add("a", cfg, h), f.add("b", cfg, h)
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	b.sees("a")
	return a, b
}

// ranOn is a handler that answers with the name of its node, and calls first what is given.
func ranOn(first func(w http.ResponseWriter, r *http.Request) (done bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first(w, r) {
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %v", FromContext(r.Context()).Node, len(b), err)
	})
}

// expect fails unless the answer is this.
func expect(t *testing.T, req *http.Request, status int, body string) {
	t.Helper()
	if res, got := fetch(t, req); res.StatusCode != status || body != "" && got != body {
		t.Fatalf("%s %s: %d %q, not %d %q", req.Method, req.URL.Path, res.StatusCode, got, status, body)
	}
}

func TestDecline(t *testing.T) {
	a, _ := two(t, Config{}, ranOn(func(w http.ResponseWriter, r *http.Request) bool {
		at := FromContext(r.Context()).Node
		if strings.HasPrefix(r.URL.Path, "/read") {
			io.ReadFull(r.Body, make([]byte, 1))
		}
		if strings.HasPrefix(r.URL.Path, "/marked") {
			Mark(r.Context())
		}
		if r.URL.Path == "/all" || at == "A" {
			if Decline(r) {
				return true
			}
			fmt.Fprintf(w, "%s may not ", at)
		}
		return false
	}))
	for _, size := range []int{0, 1, 10_000, 1 << 20} {
		post := func(path string) *http.Request {
			return request(t, "POST", a.public.URL+path, strings.NewReader(strings.Repeat("x", size)))
		}
		expect(t, post("/"), 200, fmt.Sprintf("B %d <nil>", size))
		if size <= 10_000 { // of a longer body, net/http resets what it does not want
			expect(t, post("/all"), 503, "")
		}
		expect(t, post("/marked"), 200, fmt.Sprintf("A may not A %d <nil>", size))
		if size > 0 {
			expect(t, post("/read"), 200, fmt.Sprintf("A may not A %d <nil>", size-1))
		}
	}
}

// A node that is alone cannot decline, and says so before anything is lost.
func TestDeclineAlone(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, ranOn(func(_ http.ResponseWriter, r *http.Request) bool { return Decline(r) }))
	a.gate.Admit()
	expect(t, request(t, "POST", a.public.URL, strings.NewReader("body")), 200, "A 4 <nil>")
	if Decline(request(t, "GET", "http://h", nil)) {
		t.Error("a request that came through no gate is declined")
	}
}

// failing is an application whose handlers fail on the nodes named in the path, as its first part says.
func failing(t *testing.T, count *atomic.Int64) http.Handler {
	return ranOn(func(w http.ResponseWriter, r *http.Request) bool {
		count.Add(1)
		parts := strings.Split(r.URL.Path, "/")
		if !strings.Contains(parts[2], FromContext(r.Context()).Node) {
			return false
		}
		switch parts[1] {
		case "500", "503":
			w.Header().Set("X-Failed", "yes")
			http.Error(w, "failed on "+FromContext(r.Context()).Node, map[string]int{"500": 500, "503": 503}[parts[1]])
		case "panic":
			panic("as the test wants it")
		case "abort":
			panic(http.ErrAbortHandler)
		case "late":
			w.WriteHeader(200)
			http.NewResponseController(w).Flush()
			panic("as the test wants it")
		case "marked":
			if err := Mark(r.Context()); err != nil {
				t.Error(err)
			}
			http.Error(w, "failed after a write", 500)
		case "long":
			w.WriteHeader(500)
			io.WriteString(w, strings.Repeat("x", maxKept+1))
		}
		return true
	})
}

func TestFailover(t *testing.T) {
	var ran atomic.Int64
	routes := []Route{{Pattern: "/", Failover: true}, {Pattern: "PUT /", Failover: true, Idempotent: true},
		{Pattern: "GET /500/A/plain"}}
	a, _ := two(t, Config{Routes: routes}, failing(t, &ran))
	for _, c := range []struct {
		method, path, body string
		status, runs       int
		want               string
	}{
		{"GET", "/500/A", "", 200, 2, "B 0 <nil>"},
		{"GET", "/panic/A", "", 200, 2, "B 0 <nil>"},
		{"GET", "/500/none", "", 200, 1, "A 0 <nil>"},
		{"GET", "/500/AB", "", 500, 2, "failed on B\n"}, // a handler's answer is final
		{"GET", "/500/A/plain", "", 500, 1, "failed on A\n"},
		{"POST", "/500/A", "body", 500, 1, "failed on A\n"},
		{"PUT", "/500/A", "body", 200, 2, "B 4 <nil>"},
		{"GET", "/marked/A", "", 500, 1, "failed after a write\n"},
		{"GET", "/long/A", "", 500, 1, strings.Repeat("x", maxKept+1)},
	} {
		ran.Store(0)
		res, got := fetch(t, request(t, c.method, a.public.URL+c.path, strings.NewReader(c.body)))
		if res.StatusCode != c.status || got != c.want || int(ran.Load()) != c.runs {
			t.Errorf("%s %s: %d %.40q after %d runs, not %d %.40q after %d",
				c.method, c.path, res.StatusCode, got, ran.Load(), c.status, c.want, c.runs)
		}
		if res.StatusCode == 200 && res.Header.Get("X-Failed") != "" {
			t.Errorf("%s %s: the header of the first answer is in the second one", c.method, c.path)
		}
	}
	for path, runs := range map[string]int64{"/panic/AB/x": 2, "/abort/A": 1, "/late/A": 1} {
		ran.Store(0)
		if res, err := http.Get(a.public.URL + path); err == nil {
			if _, err = io.ReadAll(res.Body); err == nil {
				t.Errorf("%s: %s, and no end of the connection", path, res.Status)
			}
			res.Body.Close()
		}
		if ran.Load() != runs {
			t.Errorf("%s: %d runs, not %d", path, ran.Load(), runs)
		}
	}
}

// The second request that makes handlers panic goes to no further node: its kind has brought one down.
func TestFailoverOfDeadlyRequests(t *testing.T) {
	var ran atomic.Int64
	a, b := two(t, Config{Routes: []Route{{Pattern: "/", Failover: true}}}, failing(t, &ran))
	for i, n := range []*fakeNode{a, b, a} {
		before := ran.Load()
		if res, err := http.Get(n.public.URL + "/panic/AB"); err == nil {
			res.Body.Close()
			t.Fatalf("%s: %s", n.ID, res.Status)
		}
		runs := ran.Load() - before
		if want := []int64{2, 2, 1}[i]; runs != want {
			t.Errorf("request %d ran %d times, not %d", i, runs, want)
		}
	}
}

func TestRetryOn(t *testing.T) {
	var ran atomic.Int64
	f := newFakeFarm(t)
	cfg := Config{Routes: []Route{{Pattern: "/503/", RetryOn: []int{503}}}}
	front := f.add("f", Config{Role: "front", Routes: cfg.Routes}, never(t))
	a, b := f.add("a", cfg, failing(t, &ran)), f.add("b", cfg, failing(t, &ran))
	a.gate.Admit()
	b.gate.Admit()
	front.gate.Admit()
	front.sees("a", "b")
	for range 20 {
		expect(t, request(t, "GET", front.public.URL+"/503/A", nil), 200, "B 0 <nil>")
	}
	for range 20 { // a handler's answer is final elsewhere
		res, body := get(t, front.public.URL+"/500/AB")
		if res.StatusCode != 500 || !strings.HasPrefix(body, "failed on") {
			t.Fatalf("%s %q", res.Status, body)
		}
	}
	ran.Store(0)
	res, body := get(t, front.public.URL+"/503/AB")
	first := strings.HasPrefix(body, "failed on ") && res.Header.Get("X-Failed") == "yes"
	if res.StatusCode != 503 || !first || ran.Load() != 2 {
		t.Errorf("the original answer is not delivered: %s %q after %d runs", res.Status, body, ran.Load())
	}
	ran.Store(0)
	res, _ = fetch(t, request(t, "POST", front.public.URL+"/503/AB", strings.NewReader("x")))
	if res.StatusCode != 503 || ran.Load() != 1 {
		t.Errorf("a POST: %s after %d runs", res.Status, ran.Load())
	}
}

// A 1xx answer that the next peer gives as well reaches the client once; what one peer says twice it gets
// twice.
func TestRetryOn_Interims(t *testing.T) {
	f := newFakeFarm(t)
	cfg := Config{Routes: []Route{{Pattern: "/", RetryOn: []int{503}}}}
	front := f.add("f", Config{Role: "front", Routes: cfg.Routes}, never(t))
	var ran atomic.Int64
	hinting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusEarlyHints)
		if ran.Add(1)%2 == 1 {
			w.WriteHeader(503)
			return
		}
		w.Header().Set("Link", "</other.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	})
	for _, id := range []string{"a", "b"} {
		f.add(id, cfg, hinting).gate.Admit()
	}
	front.gate.Admit()
	front.sees("a", "b")
	var got []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, h.Get("Link"))
		return nil
	}}
	req := request(t, "GET", front.public.URL, nil)
	res, _ := fetch(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	want := []string{"</style.css>; rel=preload", "</style.css>; rel=preload", "</other.css>; rel=preload"}
	if res.StatusCode != 200 || ran.Load() != 2 || !slices.Equal(got, want) {
		t.Errorf("%s after %d runs, and before it %q", res.Status, ran.Load(), got)
	}
}

func TestRoutesAreChecked(t *testing.T) {
	for _, r := range []Route{
		{Pattern: "GET"},
		{Pattern: "/a", RetryOn: []int{500}},
		{Pattern: "/a", RetryOn: []int{503, 505}},
	} {
		if err := (Config{Routes: []Route{r}}).Validate(); err == nil || !strings.Contains(err.Error(), r.Pattern) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Over its limit a node gives requests to peers that have room. A peer without room refuses at once, and then
// the queue decides.
func TestOverTheLimit(t *testing.T) {
	var mu sync.Mutex
	at := map[string]int{}
	hold := make(chan struct{})
	a, b := two(t, Config{MaxRunning: 4}, ranOn(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		at[FromContext(r.Context()).Node]++
		mu.Unlock()
		<-hold
		return false
	}))
	running := func(node string, n int) {
		t.Helper()
		eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return at[node] == n
		})
	}
	var wg sync.WaitGroup
	statuses := make(chan string, 20)
	send := func(n *fakeNode) {
		wg.Go(func() {
			res, err := http.Post(n.public.URL, "text/plain", strings.NewReader("body"))
			if err != nil {
				statuses <- err.Error()
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			statuses <- fmt.Sprint(res.StatusCode, " ", string(body))
		})
	}
	for i := range 4 {
		send(a)
		running("A", i+1)
	}
	for i := range 4 {
		send(a)
		running("B", i+1)
	}
	if l := b.gate.limit.Load(); l.Running != 4 {
		t.Errorf("%+v", l)
	}
	if res, _ := fetch(t, request(t, "POST", a.public.URL, strings.NewReader("body"))); res.StatusCode != 503 ||
		res.Header.Get("Retry-After") == "" {
		t.Errorf("a farm that is full: %s", res.Status)
	}
	close(hold)
	wg.Wait()
	close(statuses)
	for s := range statuses {
		if s != "200 A 4 <nil>" && s != "200 B 4 <nil>" {
			t.Error(s)
		}
	}
	for _, n := range []*fakeNode{a, b} {
		eventually(t, func() bool { l := n.gate.limit.Load(); return l == limit.Load{Limit: 4, Refused: l.Refused} })
	}
}
