package swarm

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// hashesOf is the body of a request for blobs.
func hashesOf(refs ...blob.Ref) (b []byte) {
	for _, r := range refs {
		b = append(b, r.Hash[:]...)
	}
	return b
}

func TestHandlerMany(t *testing.T) {
	var sw swarm
	dir := t.TempDir()
	s := openStore(t, blob.StoreConfig{Dir: dir})
	refs := fill(t, s, 4, 1000)
	large := fill(t, s, 1, smallBlob+1)[0]
	h := sw.serve(t, "n1", s, HandlerConfig{})
	h.turns.length = time.Hour
	a := newAsker(t, &sw, "n1")
	for _, test := range []struct {
		method string
		body   []byte
		status int
	}{
		{"GET", nil, 405},
		{"POST", make([]byte, 31), 400},
		{"POST", make([]byte, 32*mostMany+32), 413},
		{"POST", make([]byte, 32*mostMany), 200},
		{"POST", nil, 200},
	} {
		if resp, _ := a.do(test.method, pathMany, test.body); resp.StatusCode != test.status {
			t.Errorf("%s of %d bytes: %s", test.method, len(test.body), resp.Status)
		}
	}
	sent := func(seed uint64) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{manySent}, 1000), blobtest.Random(seed, 1000)...)
	}
	blobtest.Damage(t, dir, refs[2].Hash.String())
	s.Verify(refs[2].Hash)
	unreadable := blobtest.Damage(t, dir, refs[3].Hash.String()) // opening it fails: a loop of links
	os.Remove(unreadable)
	if err := os.Symlink(filepath.Base(unreadable), unreadable); err != nil {
		t.Fatal(err)
	}
	h.turns.of[refs[1].Hash] = &turn{sending: 1, began: time.Now(), last: time.Now()}
	body := hashesOf(refs[0], refs[1], blob.Ref{}, refs[2], refs[3], large, refs[0])
	// A copy ends when it is sent, which is at the end of an answer that is so short: until then the blob is busy.
	want := append(sent(1), manyBusy, manyNone, manyNone, manyFull, manyNone, manyBusy)
	if _, got := a.do("POST", pathMany, body); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %x, want %d", len(got), got[len(got)-6:], len(want))
	}
	for i, want := range [][]byte{sent(1), {manySpent}} {
		if _, got := a.do("POST", pathMany, hashesOf(refs[0])); !bytes.Equal(got, want) {
			t.Errorf("copy %d: %d bytes, want %d", i+2, len(got), len(want))
		}
	}
	if st := h.Stats(); st.Sent != 2000 || st.Blobs != 2 || st.Peers["127.0.0.1"] != 2000 {
		t.Errorf("%+v", st)
	}
	if len(s.Lost()) != 2 {
		t.Error("what is damaged, or cannot be read, was not noticed")
	}
}

// An answer for many blobs has its bounds, too.
func TestManyAreBounded(t *testing.T) {
	var sw swarm
	s := openStore(t, blob.StoreConfig{})
	refs := fill(t, s, manyBytes/smallBlob+2, smallBlob)
	sw.serve(t, "n1", s, HandlerConfig{})
	resp, b := newAsker(t, &sw, "n1").do("POST", pathMany, hashesOf(refs...))
	if want := manyBytes + 5*manyBytes/smallBlob + 2; resp.StatusCode != 200 || len(b) != want ||
		b[len(b)-1] != manyFull || b[len(b)-2] != manyFull {
		t.Errorf("%s, %d bytes, want %d", resp.Status, len(b), want)
	}
}

// Small blobs come many at a time, large ones beside them, and of an older peer one at a time.
func TestFetchMany(t *testing.T) {
	for _, old := range []bool{false, true} {
		var sw swarm
		seed := openStore(t, blob.StoreConfig{})
		refs := append(fill(t, seed, 400, 2_000), fill(t, seed, 10, 100_000)...)
		refs = append(refs, fill(t, seed, 1, 0)...)
		var requests atomic.Int64
		h := NewHandler(seed, HandlerConfig{})
		ln := listen(t)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if old && r.URL.Path == pathMany {
				t.Error("an old peer is asked for many")
			}
			h.ServeHTTP(hiding{w, old}, r)
		})}
		go server.Serve(ln)
		t.Cleanup(func() { server.Close() })
		sw.set("seed", ln.Addr().String())
		store := openStore(t, blob.StoreConfig{})
		f := sw.fetcher(t, "n1", store, FetcherConfig{Patience: blobtest.Patience, Stall: blobtest.Patience})
		ci.Awaited(t, "fetch", f.Fetch(blobtest.Context(t), refs, nil))
		holds(t, store, refs)
		if n := requests.Load(); (n > 200) != old {
			t.Errorf("%d requests for 411 blobs, old: %v", n, old)
		}
		if st := f.Stats(); st.Blobs != 411 || st.Received != 1_800_000 || st.Wasted != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// A peer does something bad in an answer for many. What came before it is kept; then another one comes, and gives
// the rest.
func TestBadBatches(t *testing.T) {
	const size, frame = 2_000, 2_005
	send := func(w http.ResponseWriter, b []byte) {
		w.Write(b)
		http.NewResponseController(w).Flush()
	}
	for _, test := range []struct {
		name string
		many func(w http.ResponseWriter, r *http.Request, answer []byte)
		want func(PeerStats) bool
	}{
		{"corrupts", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, flipped(b, frame+5))
		}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"says another size", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, flipped(b, frame+1))
		}, func(st PeerStats) bool { return st.Corrupt > 0 }},
		{"says what nobody knows", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, append(b[:frame:frame], 99))
		}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"cuts", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, b[:frame+1000])
			panic(http.ErrAbortHandler)
		}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"ends too early", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, b[:frame+3])
		}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"stalls", func(w http.ResponseWriter, r *http.Request, b []byte) {
			send(w, b[:frame+7])
			<-r.Context().Done()
		}, func(st PeerStats) bool { return st.Stalled > 0 }},
		{"trickles", func(w http.ResponseWriter, r *http.Request, b []byte) {
			for at := 0; at < len(b) && r.Context().Err() == nil; at++ {
				send(w, b[at:at+1])
				<-time.After(10 * time.Millisecond)
			}
		}, func(st PeerStats) bool { return st.Stalled > 0 }},
		{"does not know of it", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
		}, func(st PeerStats) bool { return st.Failed > 0 }},
		{"has none", func(w http.ResponseWriter, _ *http.Request, b []byte) {
			send(w, bytes.Repeat([]byte{manyNone}, len(b)/frame))
		}, func(st PeerStats) bool { return st.Failed > 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sw swarm
			good := openStore(t, blob.StoreConfig{})
			refs := fill(t, good, 50, size)
			bad := &badPeer{Handler: NewHandler(good, HandlerConfig{}), many: test.many,
				blob: func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) { http.NotFound(w, r) }}
			bad.turns.length = time.Nanosecond // it sends all the same
			sw.serveBad(t, "bad", bad)
			store := openStore(t, blob.StoreConfig{})
			f := sw.fetcher(t, "n1", store, FetcherConfig{Stall: 500 * time.Millisecond, Patience: blobtest.Patience})
			ended := make(chan error, 1)
			go func() { ended <- f.Fetch(blobtest.Context(t), refs, nil) }()
			await(t, "what the peer has done to be noticed", func() bool { return test.want(f.Stats().Peers["bad"]) })
			sw.serve(t, "good", good, HandlerConfig{})
			ci.Awaited(t, "fetch", <-ended)
			holds(t, store, refs)
			st := f.Stats()
			if p := st.Peers["good"]; p.Corrupt+p.Failed > 0 {
				t.Errorf("the good one is blamed: %+v", p)
			}
			if st.Received != 50*size || st.Blobs != 50 || st.Peers["good"].Received > 50*size {
				t.Errorf("%+v", st)
			}
		})
	}
}
