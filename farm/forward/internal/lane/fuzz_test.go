package lane

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"
)

// FuzzRequest: whatever comes as the head of a request is an error or a request, and what it is survives the
// way back. Its seeds are in testdata: see TestCorpus.
func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{s: string(b)}
		var facts, facts2 Facts
		got := new(http.Request)
		d.request(context.Background(), got, new(url.URL), &facts)
		if d.end("REQ") != nil {
			return
		}
		again := decoder{s: string(putRequest(nil, got, &facts))}
		twice := new(http.Request)
		again.request(context.Background(), twice, new(url.URL), &facts2)
		if err := again.end("REQ"); err != nil || !reflect.DeepEqual(facts, facts2) || !sameRequest(got, twice) {
			t.Errorf("%+v became %+v, %v", got, twice, err)
		}
	})
}

func sameRequest(a, b *http.Request) bool {
	return a.Method == b.Method && a.Proto == b.Proto && a.Host == b.Host && a.RemoteAddr == b.RemoteAddr &&
		a.RequestURI == b.RequestURI && reflect.DeepEqual(a.URL, b.URL) &&
		reflect.DeepEqual(a.Header, b.Header) && reflect.DeepEqual(a.Trailer, b.Trailer) &&
		a.ContentLength == b.ContentLength && a.Close == b.Close && reflect.DeepEqual(a.TLS, b.TLS)
}

// FuzzHello: whatever comes first on a connection, at either end, is an error, or what we write ourselves.
func FuzzHello(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(bytes.NewReader(b))
		if err == nil {
			if again, err := readHello(bytes.NewReader(h.frame())); err != nil || again != h {
				t.Errorf("%+v became %+v, %v", h, again, err)
			}
			if v, err := h.version(); err == nil && (v < h.oldest || v > h.newest || v > newest) {
				t.Errorf("%+v: version %d", h, v)
			}
		}
		readWelcome(bytes.NewReader(b))
	})
}

// FuzzAcceptor: a peer that says whatever it likes, as a trunk or as a lane, does no harm. The first byte says which
// of the two. Its seeds are in testdata: see TestCorpus.
func FuzzAcceptor(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) == 0 {
			return
		}
		trunk := said[0] == isTrunk
		srv := &Server{Logger: slog.New(slog.DiscardHandler)}
		srv.Handle = func(w *Writer, r *http.Request, _ *Facts) { io.Copy(w, r.Body) }
		ours, peer := net.Pipe()
		other, silent := net.Pipe() // the trunk of the lane
		go io.Copy(io.Discard, peer)
		go io.Copy(io.Discard, silent)
		use := uint8(isTrunk)
		if !trunk {
			use = isLane
			bd := &bundle{trunk: newTrunk(other), lanes: make(map[uint32]*serverLane)}
			srv.bundles = map[bundleKey]*bundle{{number: 1}: bd}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.add(ours)
			srv.serveConn(ours)
			srv.remove(ours)
			srv.wg.Done()
		}()
		peer.SetWriteDeadline(time.Now().Add(time.Second))
		peer.Write(hello{oldest: 1, newest: newest, use: use, bundle: 1, lane: 1}.frame())
		peer.Write(said[1:])
		peer.Close()
		<-done
		silent.Close()
		srv.Close()
	})
}
