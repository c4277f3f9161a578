package swarm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// asker is somebody who speaks to a Handler as he likes.
type asker struct {
	t    *testing.T
	addr string
	http.Client
}

func newAsker(t *testing.T, sw *swarm, id string) *asker {
	a := &asker{t: t, addr: sw.addrs[id]}
	a.Transport = &http.Transport{MaxIdleConnsPerHost: -1}
	return a
}

func (a *asker) do(method, path string, body []byte, header ...string) (*http.Response, []byte) {
	a.t.Helper()
	url := "http://" + a.addr + path
	req, err := http.NewRequestWithContext(blobtest.Context(a.t), method, url, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := a.Do(req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, b
}

func TestHandlerAnswers(t *testing.T) {
	var sw swarm
	s := openStore(t, blob.StoreConfig{})
	refs := fill(t, s, 3, 1000)
	h := sw.serve(t, "n1", s, HandlerConfig{})
	h.turns.length = time.Hour
	a := newAsker(t, &sw, "n1")
	path := pathBlob + refs[0].Hash.String()
	unknown := blob.Sum([]byte("unknown"))
	insist := []string{headerInsist, "1"}
	for _, test := range []struct {
		method, path string
		body         []byte
		header       []string
		status       int
		length       int // -1 = any
	}{
		{"GET", path, nil, nil, 200, 1000},
		{"GET", path, nil, []string{"Range", "bytes=999-"}, 206, 1},
		{"GET", path, nil, nil, 503, -1}, // twice is enough
		{"GET", path, nil, insist, 200, 1000},
		{"GET", path, nil, append(insist, "Range", "bytes=1000-"), 416, -1},
		{"GET", path, nil, append(insist, "Range", "bytes=99999999999999999999-"), 200, 1000},
		{"GET", path, nil, append(insist, "Range", "bytes=1-2,4-5,"+strings.Repeat("7-8,", 1000)), 200, 1000},
		{"GET", path, nil, append(insist, "Range", "bytes=-5"), 200, 1000},
		{"GET", pathBlob + unknown.String(), nil, nil, 404, -1},
		{"GET", pathBlob + "../lock", nil, nil, 404, -1},
		{"GET", pathBlob, nil, nil, 404, -1},
		{"GET", "/", nil, nil, 404, -1},
		{"HEAD", path, nil, nil, 405, -1},
		{"PUT", path, []byte("other bytes"), nil, 405, -1},
		{"DELETE", path, nil, nil, 405, -1},
		{"GET", pathHave, nil, nil, 405, -1},
		{"POST", pathHave, nil, nil, 200, 0},
		{"POST", pathHave, unknown[:], nil, 200, 1},
		{"POST", pathHave, unknown[1:], nil, 400, -1},
		{"POST", pathHave, make([]byte, 32*mostAsked), nil, 200, mostAsked / 8},
		{"POST", pathHave, make([]byte, 32*mostAsked+32), nil, 413, -1},
	} {
		resp, b := a.do(test.method, test.path, test.body, test.header...)
		if resp.StatusCode != test.status || test.length >= 0 && len(b) != test.length {
			t.Errorf("%s %s %.60q: %s, %d bytes", test.method, test.path, test.header, resp.Status, len(b))
		}
	}
	asked := append(append(refs[0].Hash[:], unknown[:]...), refs[1].Hash[:]...)
	if _, b := a.do("POST", pathHave, asked); !bytes.Equal(b, []byte{0b101}) {
		t.Errorf("which are there: %b", b)
	}
	holds(t, s, refs)
}

// Peers that ask and do not read hold up a few others for a while, and that is all.
func TestSlowReaders(t *testing.T) {
	var sw swarm
	s := openStore(t, blob.StoreConfig{})
	refs := fill(t, s, peerSends, 12<<20)
	h := sw.serve(t, "n1", s, HandlerConfig{})
	h.wait = 100*time.Millisecond - 12<<20*time.Second/slowestRead // in all 100 ms for a blob
	for _, r := range refs {
		c, err := net.Dial("tcp", sw.addrs["n1"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).SetReadBuffer(1 << 10)
		fmt.Fprintf(c, "GET %s%v HTTP/1.1\r\nHost: n1\r\n\r\n", pathBlob, r.Hash)
		if resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
	await(t, "the handler to be rid of them", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.all == 0 && len(h.sends) == 0
	})
	h.wait = blobtest.Patience
	resp, b := newAsker(t, &sw, "n1").do("GET", pathBlob+refs[0].Hash.String(), nil)
	if resp.StatusCode != 200 || blob.Sum(b) != refs[0].Hash {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// One peer gets so many blobs at once, and all together so many.
func TestSendsAreBounded(t *testing.T) {
	h := NewHandler(openStore(t, blob.StoreConfig{}), HandlerConfig{})
	for i := range peerSends {
		if !h.begin("n1") {
			t.Fatalf("%d are too many", i+1)
		}
	}
	if h.begin("n1") {
		t.Error("one peer has more than its share")
	}
	for i := peerSends; i < mostSends; i++ {
		if !h.begin(fmt.Sprint("n", i)) {
			t.Fatalf("%d are too many", i+1)
		}
	}
	if h.begin("another") {
		t.Error("more than all may have")
	}
	h.end("n1")
	if !h.begin("another") {
		t.Error("there is room again")
	}
	for i := range 2 * mostPeersCounted {
		h.count(fmt.Sprint("stranger", i), 1, false)
	}
	if st := h.Stats(); st.Sent != 2*mostPeersCounted || len(st.Peers) > mostPeersCounted+1 || st.Refused != 2 {
		t.Errorf("%d bytes, %d peers, %d refused", st.Sent, len(st.Peers), st.Refused)
	}
}

// Who begins a question and does not end it is given up.
func TestQuestionWithoutEnd(t *testing.T) {
	var sw swarm
	h := sw.serve(t, "n1", openStore(t, blob.StoreConfig{}), HandlerConfig{})
	h.wait = 50 * time.Millisecond
	c, err := net.Dial("tcp", sw.addrs["n1"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: n1\r\nContent-Length: 3200\r\n\r\nabc", pathHave)
	c.SetReadDeadline(time.Now().Add(blobtest.Patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%+v, %v", resp, err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection: %v", err)
	}
	await(t, "the question to end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.haves == 0
	})
}

func TestTurns(t *testing.T) {
	var (
		ts  turns
		now = time.Unix(1e9, 0)
		h   = blob.Sum(nil)
	)
	ts.init()
	take := func(insist bool, want string) {
		t.Helper()
		if got := ts.take(h, insist, now); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	take(false, "") // the first copy begins
	take(false, turnBusy)
	take(true, turnBusy) // it will soon be somebody's
	now = now.Add(turnLength - 1)
	ts.moved(h, now)
	now = now.Add(1)
	take(false, "") // it is under way for long: a second one beside it
	take(false, turnBusy)
	ts.done(h, true, now)
	take(false, turnBusy)
	ts.done(h, false, now) // cut off: does not count
	take(false, "")
	ts.done(h, true, now)
	take(false, turnSpent)
	take(true, "") // those who had it are gone
	ts.done(h, true, now)
	now = now.Add(turnMemory)
	take(false, turnSpent)
	now = now.Add(1)
	take(false, "")
	now = now.Add(turnLength) // nothing moves: it is as if nobody got it
	take(false, "")

	for i := range mostTurns + 10 {
		ts.take(blob.Sum(fmt.Append(nil, i)), false, now)
	}
	if n := len(ts.of); n > mostTurns {
		t.Errorf("%d are remembered", n)
	}
	ts.done(h, true, now) // forgotten: nothing happens
}

// Those who have a blob have sent it often enough, and those who got it are gone: who wants it insists.
func TestInsist(t *testing.T) {
	var sw swarm
	s := openStore(t, blob.StoreConfig{})
	refs := fill(t, s, 1, 1000)
	h := sw.serve(t, "n1", s, HandlerConfig{})
	a := newAsker(t, &sw, "n1")
	for range copies {
		if resp, _ := a.do("GET", pathBlob+refs[0].Hash.String(), nil); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	store := openStore(t, blob.StoreConfig{})
	f := sw.fetcher(t, "n2", store, FetcherConfig{Patience: blobtest.Patience})
	f.insist = 10 * time.Millisecond
	if err := f.Fetch(blobtest.Context(t), refs, nil); err != nil {
		t.Fatal(err)
	}
	if st := h.Stats(); st.Blobs != copies+1 || st.Refused == 0 {
		t.Errorf("%+v", st)
	}
}

func TestLimiter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLimiter(1000)
		begin := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					if err := l.wait(t.Context(), 100); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took != 4*time.Second-burst {
			t.Errorf("4000 bytes at 1000 a second take %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.wait(ctx, 5000); err != context.DeadlineExceeded {
			t.Errorf("%v", err)
		}
		if err := newLimiter(0).wait(t.Context(), 1<<40); err != nil {
			t.Error(err)
		}
	})
}

// A release comes no faster than it may, and a slow rate is no stall.
func TestRate(t *testing.T) {
	var sw swarm
	seed := openStore(t, blob.StoreConfig{})
	refs := fill(t, seed, 10, 5000)
	sw.serve(t, "seed", seed, HandlerConfig{})
	store := openStore(t, blob.StoreConfig{})
	f := sw.fetcher(t, "n1", store, FetcherConfig{Rate: 100_000, Stall: 2 * time.Second})
	begin := time.Now()
	if err := f.Fetch(blobtest.Context(t), refs, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 390*time.Millisecond {
		t.Errorf("50,000 bytes at 100,000 a second took %v", took)
	}
	if p := f.Stats().Peers["seed"]; p.Stalled > 0 {
		t.Errorf("%+v", p)
	}
}

func TestRoster(t *testing.T) {
	var r Roster
	if got := r.Present(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	ids := []string{"a", "b"}
	r.Set(ids)
	ids[0] = "changed"
	if got := r.Present(); len(got) != 2 || got[0] != "a" {
		t.Errorf("%v", got)
	}
	if n := ci.Allocs(100, 0, func() { r.Present() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
