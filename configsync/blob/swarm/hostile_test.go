package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// badPeer answers as a Handler would, but for blobs, of which it makes something else.
type badPeer struct {
	*Handler
	have func(w http.ResponseWriter, r *http.Request) // nil = as it should be
	blob func(w http.ResponseWriter, r *http.Request, b []byte, from int)
	many func(w http.ResponseWriter, r *http.Request, answer []byte) // nil = it is as old as to know nothing of it
	hit  chan struct{}                                               // closed when it has done something bad
	once sync.Once
}

func (p *badPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == pathHave {
		if p.have == nil {
			p.Handler.ServeHTTP(hiding{w, p.many == nil}, r)
			return
		}
		p.bad()
		p.have(w, r)
		return
	}
	if r.URL.Path == pathMany && p.many != nil {
		rec := httptest.NewRecorder()
		p.Handler.ServeHTTP(rec, r)
		p.bad()
		p.many(w, r, rec.Body.Bytes())
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	h, err := blob.ParseHash(strings.TrimPrefix(r.URL.Path, pathBlob))
	b, e := read(p.store, h)
	if err != nil || e != nil {
		http.NotFound(w, r)
		return
	}
	from, _ := rangeOf(r, int64(len(b)))
	p.bad()
	p.blob(w, r, b, int(from))
}

// hiding is an answer of a node that sends one blob at a time.
type hiding struct {
	http.ResponseWriter
	hide bool
}

func (h hiding) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h hiding) Write(b []byte) (int, error) {
	if h.hide {
		h.Header().Del(headerMany)
	}
	return h.ResponseWriter.Write(b)
}

func (p *badPeer) bad() { p.once.Do(func() { close(p.hit) }) }

// serveBad has a bad peer served under a name.
func (s *swarm) serveBad(t *testing.T, id string, p *badPeer) {
	t.Helper()
	p.hit = make(chan struct{})
	ln := listen(t)
	server := &http.Server{Handler: p}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	s.set(id, ln.Addr().String())
}

// piece answers with the bytes of b from one to another, and says that it sends them to the end.
func piece(w http.ResponseWriter, b []byte, from, to int) {
	w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
	if from > 0 {
		w.Header().Set("Content-Range", contentRange(int64(from), int64(len(b))))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(b[from:to])
	http.NewResponseController(w).Flush()
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func everything(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Write(bytes.Repeat([]byte{0xff}, (len(b)/32+7)/8))
}

// A peer does something bad to the first who asks. Then another one comes, and gives the blobs.
func TestBadPeers(t *testing.T) {
	const size = 100_000
	for _, test := range []struct {
		name string
		peer *badPeer
		want func(PeerStats) bool
	}{
		{"corrupts", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			piece(w, flipped(b, size-1), from, size)
		}}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"sends more", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, b []byte, _ int) {
			w.Write(append(b, 'x'))
		}}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"sends less", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, b []byte, _ int) {
			w.Write(b[1:])
		}}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"sends without end", &badPeer{blob: func(w http.ResponseWriter, r *http.Request, b []byte, _ int) {
			for r.Context().Err() == nil {
				w.Write(b)
			}
		}}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"stalls", &badPeer{blob: func(w http.ResponseWriter, r *http.Request, b []byte, from int) {
			piece(w, b, from, from+1)
			<-r.Context().Done()
		}}, func(st PeerStats) bool { return st.Stalled > 0 }},
		{"trickles", &badPeer{blob: func(w http.ResponseWriter, r *http.Request, b []byte, from int) {
			for at := from; at < size && r.Context().Err() == nil; at++ {
				piece(w, b[:size], from, from+1)
				<-time.After(10 * time.Millisecond)
			}
		}}, func(st PeerStats) bool { return st.Stalled > 0 }},
		{"answers nothing", &badPeer{blob: func(_ http.ResponseWriter, r *http.Request, _ []byte, _ int) {
			<-r.Context().Done()
		}}, func(st PeerStats) bool { return st.Stalled > 0 }},
		{"cuts", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			piece(w, b, from, (from+size)/2)
			panic(http.ErrAbortHandler)
		}}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"sends another part", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, b []byte, _ int) {
			piece(w, b, 7, size)
		}}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"says an error", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) {
			http.Error(w, strings.Repeat("x", 1<<20), http.StatusTeapot)
		}}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"says it has all", &badPeer{have: everything,
			blob: func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) { http.NotFound(w, r) },
		}, func(st PeerStats) bool { return st.Received == 0 }},
		{"redirects", &badPeer{blob: func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) {
			http.Redirect(w, r, "/blobs/elsewhere", http.StatusFound)
		}}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"answers a question by too much", &badPeer{have: func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 1<<20))
		}}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"answers no question", &badPeer{have: func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}}, func(st PeerStats) bool { return st.Stalled > 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sw swarm
			good := openStore(t, blob.StoreConfig{})
			refs := fill(t, good, 5, size)
			bad := test.peer
			bad.Handler = NewHandler(good, HandlerConfig{})
			sw.serveBad(t, "bad", bad)
			store := openStore(t, blob.StoreConfig{})
			f := sw.fetcher(t, "n1", store, FetcherConfig{Stall: 500 * time.Millisecond, Patience: blobtest.Patience})
			ctx, ended := blobtest.Context(t), make(chan error, 1)
			go func() { ended <- f.Fetch(ctx, refs, nil) }()
			select {
			case <-bad.hit:
			case <-ctx.Done():
				ci.Latef(t, "nobody has asked")
			}
			await(t, "what the peer has done to be noticed", func() bool { return test.want(f.Stats().Peers["bad"]) })
			sw.serve(t, "good", good, HandlerConfig{})
			ci.Awaited(t, "fetch", <-ended)
			holds(t, store, refs)
			st := f.Stats()
			if p := st.Peers["good"]; p.Corrupt+p.Failed > 0 {
				t.Errorf("the good one is blamed: %+v", p)
			}
			if st.Received != 5*size || st.Blobs != 5 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A peer that has the blob has sent it often enough, and the only other one that says so does not send it. The
// first one sends it once more.
func TestSpentBesideBad(t *testing.T) {
	for _, test := range []struct {
		name string
		peer *badPeer
	}{
		{"answers nothing", &badPeer{blob: func(_ http.ResponseWriter, r *http.Request, _ []byte, _ int) {
			<-r.Context().Done()
		}}},
		{"is busy for ever", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) {
			later(w, turnBusy)
		}}},
		{"says it is full", &badPeer{blob: func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) {
			later(w, turnFull)
		}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sw swarm
			good := openStore(t, blob.StoreConfig{})
			refs := fill(t, good, 5, 20_000)
			test.peer.Handler = NewHandler(good, HandlerConfig{})
			sw.serveBad(t, "bad", test.peer)
			h := sw.serve(t, "good", good, HandlerConfig{})
			for _, r := range refs {
				h.turns.of[r.Hash] = &turn{sent: copies, last: time.Now()}
			}
			store := openStore(t, blob.StoreConfig{})
			f := sw.fetcher(t, "n1", store, FetcherConfig{Stall: 50 * time.Millisecond, Patience: blobtest.Patience})
			f.insist = 20 * time.Millisecond
			ci.Awaited(t, "fetch", f.Fetch(blobtest.Context(t), refs, nil))
			holds(t, store, refs)
		})
	}
}

// await waits until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	ctx := blobtest.Context(t)
	for !so() {
		select {
		case <-ctx.Done():
			ci.Latef(t, "waited for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// A transfer that is cut off goes on where it was: no byte comes twice.
func TestResume(t *testing.T) {
	var sw swarm
	good := openStore(t, blob.StoreConfig{})
	const size = 1 << 20
	refs := fill(t, good, 3, size)
	var sent atomic.Int64
	sw.serveBad(t, "cuts", &badPeer{Handler: NewHandler(good, HandlerConfig{}),
		blob: func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			to := size
			if from == 0 {
				to = size / 2
			}
			piece(w, b, from, to)
			sent.Add(int64(to - from))
			if to < size {
				panic(http.ErrAbortHandler)
			}
		}})
	store := openStore(t, blob.StoreConfig{})
	f := sw.fetcher(t, "n1", store, FetcherConfig{Patience: blobtest.Patience, Stall: blobtest.Patience})
	ci.Awaited(t, "fetch", f.Fetch(blobtest.Context(t), refs, nil))
	holds(t, store, refs)
	if st := f.Stats(); sent.Load() != 3*size || st.Wasted != 0 || st.Resumed != 3 {
		t.Errorf("%d bytes were sent for %d; %+v", sent.Load(), 3*size, st)
	}
}

// The first half of a blob comes from a peer that sends wrong bytes and then cuts off, the rest from a good
// one. Nobody can know whose fault it is, and so the good one is not blamed.
func TestMixture(t *testing.T) {
	var sw swarm
	good := openStore(t, blob.StoreConfig{})
	const size = 200_000
	refs := fill(t, good, 1, size)
	bad := &badPeer{Handler: NewHandler(good, HandlerConfig{}),
		blob: func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			if from == 0 {
				piece(w, flipped(b, 3), 0, size/2)
			}
			panic(http.ErrAbortHandler)
		}}
	sw.serveBad(t, "bad", bad)
	store := openStore(t, blob.StoreConfig{})
	f := sw.fetcher(t, "n1", store, FetcherConfig{Patience: blobtest.Patience, Stall: blobtest.Patience})
	ended := make(chan error, 1)
	go func() { ended <- f.Fetch(blobtest.Context(t), refs, nil) }()
	await(t, "the peer to fail", func() bool { return f.Stats().Peers["bad"].Failed > 0 })
	sw.set("bad", "")
	sw.serve(t, "good", good, HandlerConfig{})
	ci.Awaited(t, "fetch", <-ended)
	holds(t, store, refs)
	if st := f.Stats(); st.Peers["good"].Corrupt != 0 || st.Wasted < size {
		t.Errorf("%+v", st)
	}
}

// Nobody has what is wanted: the error says what, and who said what. What others have is kept.
func TestUnavailable(t *testing.T) {
	var sw swarm
	one := openStore(t, blob.StoreConfig{})
	refs := fill(t, one, 3, 1000)
	sw.serve(t, "n2", one, HandlerConfig{})
	sw.set("n3", "127.0.0.1:1")
	sw.serveBad(t, "n4", &badPeer{Handler: NewHandler(one, HandlerConfig{}), have: everything,
		blob: func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) { http.NotFound(w, r) }})
	store := openStore(t, blob.StoreConfig{})
	nobodys := blob.Ref{Hash: blob.Sum([]byte("nobody's")), Size: 8}
	says := []string{nobodys.Hash.String(), "n2 has not got it", "n3 fails: ", "n4 does not have the right bytes"}
	lacks := func(err error) string {
		var e *UnavailableError
		if !errors.Is(err, ErrUnavailable) || !errors.As(err, &e) || e.Hash != nobodys.Hash || e.Missing != 1 || len(e.Asked) != 3 {
			return "whose it is"
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				return part
			}
		}
		return ""
	}
	for patience := 300 * time.Millisecond; ; patience *= 5 { // a machine that stands still so long hears from nobody
		f := sw.fetcher(t, "n1", store, FetcherConfig{Patience: patience})
		err := f.Fetch(blobtest.Context(t), append(refs[:2:2], nobodys), nil)
		part := lacks(err)
		if part == "" {
			break
		}
		if patience > 10*time.Second {
			t.Fatalf("it does not say %q: %+v", part, err)
		}
	}
	holds(t, store, refs[:2])

	alone := NewFetcher(FetcherConfig{Store: store, Patience: time.Millisecond, Peers: new(Roster).Present})
	defer alone.Close()
	err := alone.Fetch(blobtest.Context(t), refs, nil)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no peer is present") {
		t.Errorf("alone: %v", err)
	}
	if err := alone.Fetch(blobtest.Context(t), refs[:2], nil); err != nil {
		t.Errorf("what is there: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := alone.Fetch(ctx, refs, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
}

// What cannot be fetched is refused before anybody is asked.
func TestFetchRefuses(t *testing.T) {
	store := openStore(t, blob.StoreConfig{Quota: 10_000})
	refs := fill(t, store, 1, 1000)
	f := NewFetcher(FetcherConfig{Store: store, Peers: func() []string {
		t.Error("somebody is to be asked")
		return nil
	}})
	defer f.Close()
	h := blob.Sum([]byte("something"))
	for _, test := range []struct {
		ref blob.Ref
		err error
	}{
		{blob.Ref{}, blob.ErrHash},
		{blob.Ref{Hash: h, Size: -1}, nil},
		{blob.Ref{Hash: h, Size: blob.MaxSize + 1}, blob.ErrTooLarge},
		{blob.Ref{Hash: h, Size: 9_001}, blob.ErrNoRoom},
		{blob.Ref{Hash: refs[0].Hash, Size: 999}, nil}, // we have it, with another size
	} {
		err := f.Fetch(blobtest.Context(t), []blob.Ref{test.ref}, nil)
		if err == nil || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%+v: %v", test.ref, err)
		}
	}
}
