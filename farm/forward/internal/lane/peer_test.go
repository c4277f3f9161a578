package lane

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// told sends a request to a peer that says just this, over a stream or a lane, and closes the connection.
func told(t *testing.T, overLane bool, said []byte) (Outcome, *httptest.ResponseRecorder) {
	says := make(chan []byte, 1) // what the peer says on the next connection, behind its welcome
	over := make(chan struct{})  // closed when it has said everything
	c := NewClient(Config{Dial: func(context.Context) (net.Conn, error) {
		ours, peer := net.Pipe()
		words := <-says
		go func() {
			defer peer.Close()
			if _, err := readHello(peer); err != nil {
				return
			}
			peer.Write(welcome(newest, ""))
			if words == nil { // it keeps silent
				go io.Copy(io.Discard, peer)
				<-over
				return
			}
			defer close(over)
			readRequest(peer) // whole, for it closes the connection behind its answer
			go io.Copy(io.Discard, peer)
			peer.SetWriteDeadline(time.Now().Add(time.Minute))
			peer.Write(words)
		}()
		return ours, nil
	}})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("body"))
	if overLane {
		says <- nil
		if _, err := c.connect(ctx); err != nil {
			t.Fatal(err)
		}
		says <- said
		c.mu.Lock()
		c.dials, c.number = 1, 1
		bundle := c.bundle
		c.mu.Unlock()
		c.dialLane(bundle, 1)
	} else {
		says <- said
		r.Header.Set("Accept", "text/event-stream")
	}
	w := httptest.NewRecorder()
	return c.Do(w, r, &Attempt{Facts: someFacts(), Upload: NewUpload(r)}), w
}

// readRequest reads the frames of a request to the last one.
func readRequest(conn net.Conn) {
	for head := make([]byte, headerSize); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		f := parseFrame(head)
		if _, err := io.CopyN(io.Discard, conn, int64(f.n)); err != nil || f.flags&fEnd != 0 {
			return
		}
	}
}

// answerFrame is a whole answer, with so much behind what we know of its head.
func answerFrame(status uint64, more string) []byte {
	b := Load{Running: 1}.put(newHead(nil))
	b = binary.AppendUvarint(b, status)
	b = putHeader(b, http.Header{"A": {"b"}})
	b = append(b, more...)
	endHead(b)
	b = append(b, "answer"...)
	frame{kind: kRes, flags: fEnd, id: 1, n: len(b) - headerSize}.put(b)
	return b
}

// unknown is a frame of a kind that nobody knows yet.
func unknown(flags uint8) []byte {
	b := append(newFrame(nil), "something new"...)
	frame{kind: kLast + 9, flags: flags, id: 1, n: len(b) - headerSize}.put(b)
	return b
}

// FuzzDialler: a peer that answers whatever it likes, over a stream or a lane, does no harm, and what is no
// whole answer is an error. The first byte says which of the two. Its other seeds are in testdata: see TestCorpus.
func FuzzDialler(f *testing.F) {
	whole := answerFrame(200, "")
	for _, use := range []byte{isTrunk, isLane} {
		f.Add(slices.Concat([]byte{use}, answerFrame(100, "")))
		f.Add(slices.Concat([]byte{use}, unknown(0), whole))
		f.Add(slices.Concat([]byte{use}, answerFrame(200, "new"), whole))
		for k := kAccept; k < kLast; k++ {
			b := append(newFrame(nil), 0, 0, 0, 1, 0, 0, 0, 1)
			frame{kind: k, id: 1, n: 8}.put(b)
			f.Add(slices.Concat([]byte{use}, b))
		}
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) == 0 {
			return
		}
		out, w := told(t, said[0] == isLane, said[1:])
		if out.Err == nil && (out.State != attempt.Committed || out.Status != w.Code && out.Status != 101) {
			t.Errorf("%+v, status %d", out, w.Code)
		}
	})
}

// What a newer program says beside what we know is passed over, at both ends, unless it must be understood.
func TestNewerPeer(t *testing.T) {
	for _, overLane := range []bool{true, false} {
		out, w := told(t, overLane, append(unknown(0), answerFrame(200, "new")...))
		if out.Err != nil || w.Body.String() != "answer" || w.Header().Get("A") != "b" {
			t.Errorf("lane %v: %+v, %q", overLane, out, w.Body)
		}
		if out, _ := told(t, overLane, append(unknown(fMust), answerFrame(200, "")...)); out.Err == nil {
			t.Errorf("lane %v: what must be understood was passed over", overLane)
		}
		for flags, want := range map[uint8]bool{0: true, fMust: false} {
			if got := served(t, overLane, flags); got != want {
				t.Errorf("lane %v, flags %x: served is %v", overLane, flags, got)
			}
		}
	}
}

// served reports whether a request is served that comes behind a frame that nobody knows, and with a longer
// head.
func served(t *testing.T, overLane bool, flags uint8) bool {
	t.Helper()
	ran := make(chan string, 1)
	srv := &Server{Logger: slog.New(slog.DiscardHandler)}
	srv.Handle = func(_ *Writer, r *http.Request, _ *Facts) { ran <- r.URL.Path }
	dial := func(use uint8) net.Conn {
		ours, peer := net.Pipe()
		t.Cleanup(func() { peer.Close() })
		srv.add(ours)
		go func() {
			defer srv.wg.Done()
			defer srv.remove(ours)
			srv.serveConn(ours)
		}()
		if err := greet(peer, hello{oldest: 1, newest: newest + 1, use: use, bundle: 1, lane: 1},
			time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, peer)
		return peer
	}
	t.Cleanup(srv.Close)
	conn := dial(isTrunk)
	if overLane {
		conn = dial(isLane)
	}
	req := putRequest(newHead(nil), httptest.NewRequest("GET", "/path", nil), someFacts())
	req = append(putBodyError(req, nil), 5)
	req = append(req, "more"...)
	endHead(req)
	frame{kind: kReq, flags: fEnd, id: 1, n: len(req) - headerSize}.put(req)
	conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Write(append(unknown(flags), req...)); err == nil && flags&fMust == 0 {
		return <-ran == "/path"
	}
	srv.Close() // it waits for what it has begun
	return len(ran) > 0
}
