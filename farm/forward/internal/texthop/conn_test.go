package texthop

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

var errBroken = errors.New("broken pipe")

// brokenConn is a connection whose Write fails once so many bytes were written. What is read comes from a
// pipe.
type brokenConn struct {
	net.Conn // of the pipe
	room     int
	failed   chan struct{} // closed when a Write has failed
}

func newBrokenConn(room int) (raw *brokenConn, peer net.Conn) {
	here, there := net.Pipe()
	return &brokenConn{Conn: here, room: room, failed: make(chan struct{})}, there
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if len(b) <= c.room {
		c.room -= len(b)
		return len(b), nil
	}
	close(c.failed)
	return c.room, errBroken
}

// failsAfter returns how long a Write took that does not fit.
func failsAfter(t *testing.T, c *hopConn) time.Duration {
	t.Helper()
	synctest.Wait()
	start := time.Now()
	if _, err := c.Write(make([]byte, 20)); !errors.Is(err, errBroken) {
		t.Errorf("Write: %v", err)
	}
	return time.Since(start)
}

// A Write that fails in the middle of a request comes back when no answer can come any more. One with which
// nothing of the request was written comes back at once: the request goes to another peer.
func TestHopConn_FailedWrite(t *testing.T) {
	for _, c := range []struct {
		name string
		room int
		peer func(peer net.Conn)
		want time.Duration
	}{
		{"nothing written", 0, func(net.Conn) {}, 0},
		{"the peer is silent", 10, func(net.Conn) {}, answerWait},
		{"the peer is gone", 10, func(peer net.Conn) { time.Sleep(time.Second); peer.Close() }, time.Second},
		{"the peer talks on", 10, func(peer net.Conn) {
			for range 4 {
				time.Sleep(answerWait * 4 / 5)
				peer.Write([]byte("x"))
			}
		}, 5 * answerWait},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				raw, peer := newBrokenConn(c.room)
				conn := newHopConn(raw)
				conn.mark()
				go c.peer(peer)
				go io.Copy(io.Discard, conn)
				if got := failsAfter(t, conn); got != c.want {
					t.Errorf("Write failed after %v, want %v", got, c.want)
				}
				conn.Close()
				peer.Close()
			})
		})
	}
}

// A client that is slow to take the answer is no silence of the peer.
func TestHopConn_SlowReader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		raw, peer := newBrokenConn(10)
		defer peer.Close()
		conn := newHopConn(raw)
		conn.mark()
		time.AfterFunc(10*answerWait, func() { conn.Close() })
		if got := failsAfter(t, conn); got != 10*answerWait {
			t.Errorf("Write failed after %v, though nobody had asked the peer for more", got)
		}
	})
}

// An answer that comes after the error of writing is the answer, whole. If none comes the peer is lost, in
// bounded time.
func TestPeer_AnswerAfterBrokenWrite(t *testing.T) {
	for _, answers := range []bool{true, false} {
		bubble.Test(t, func(t *testing.T) {
			raw, there := newBrokenConn(4 << 10)
			defer there.Close()
			go func() {
				<-raw.failed
				time.Sleep(time.Second)
				if answers {
					io.WriteString(there, "HTTP/1.1 413 Too Long\r\n"+
						"Connection: close\r\nContent-Length: 26\r\n\r\nat most 1000 ")
					time.Sleep(answerWait - time.Second)
					io.WriteString(there, "bytes, please")
				}
			}()
			p := NewClient(Config{Dial: func(context.Context) (net.Conn, error) { return raw, nil },
				Logger: slog.New(slog.DiscardHandler)})
			defer p.Close()
			req, err := http.NewRequest("POST", "http://peer/", strings.NewReader(strings.Repeat("x", 1<<20)))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			res, started, err := p.roundTrip(req, "nonce")
			if !answers {
				if err == nil || !started || time.Since(start) > 2*answerWait {
					t.Errorf("%v, started %v, after %v", err, started, time.Since(start))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 413 || string(b) != "at most 1000 bytes, please" {
				t.Errorf("%d %q, %v", res.StatusCode, b, err)
			}
		})
	}
}
