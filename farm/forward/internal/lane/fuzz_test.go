package lane

import (
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
// way back.
func FuzzRequest(f *testing.F) {
	r := typical(context.Background())
	r.Trailer = http.Header{"Sum": nil}
	r.TransferEncoding = []string{"chunked"}
	facts := &Facts{Origin: "n", Via: "N", ID: "i", Scheme: "https", Attempt: 1, Marks: true}
	f.Add(string(putRequest(nil, r, facts)))
	f.Add("\x00\x00\x00\x00\x01\x00\x03GET")
	f.Add(string(putHeader(nil, http.Header{"A": {"b", "c"}, "Date": nil})))
	f.Fuzz(func(t *testing.T, s string) {
		d := decoder{s: s}
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

// FuzzAcceptor: a peer that says whatever it likes, as a trunk or as a lane, does no harm.
func FuzzAcceptor(f *testing.F) {
	req := putRequest(newHead(nil), typical(context.Background()), &Facts{ID: "i"})
	req = putBodyError(req, nil)
	endHead(req)
	frame{kind: kReq, flags: fEnd, id: 1, n: len(req) - headerSize}.put(req)
	f.Add(true, req)
	f.Add(false, req)
	status := putPair(1, 1)
	frame{kind: kStatus, n: 8}.put(status)
	f.Add(true, status)
	window := append(newFrame(nil), 0xff, 0xff, 0xff, 0xff)
	frame{kind: kWindow, id: 1, n: 4}.put(window)
	f.Add(true, append(req, window...))
	leave := putPair(0, 1)
	frame{kind: kLeave, n: 8}.put(leave)
	f.Add(true, append(req[:len(req):len(req)], leave...))
	f.Add(true, append(leave[:len(leave):len(leave)], req...))
	f.Fuzz(func(t *testing.T, trunk bool, said []byte) {
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
		peer.Write(said)
		peer.Close()
		<-done
		silent.Close()
		srv.Close()
	})
}
