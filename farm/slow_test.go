package farm

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// A meter cuts whoever costs more time than he wins, and nobody who costs none.
func TestMeter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name  string
			every time.Duration // between two pieces, while somebody waits
			rest  time.Duration // after each, while nobody does
			bytes int           // a piece
			cut   time.Duration // of waiting; 0 = never
		}{
			{"nothing comes", time.Hour, 0, 0, time.Minute},
			{"slow", time.Second, 0, 10, 61 * time.Second},
			{"as slow as may be", time.Second, 0, 512, 0},
			{"in bursts", 50 * time.Second, 0, 50 * 512, 0},
			{"in rare bursts", 61 * time.Second, 0, 1 << 20, time.Minute},
			{"nobody waits", time.Second, time.Hour, 512, 0},
			{"huge", time.Second, 0, 1 << 40, 0},
		} {
			cut := make(chan struct{})
			m := &meter{pace: pace{time.Minute, 512}, cut: func() { close(cut) }}
			var waited time.Duration
			ended := false
			for range 200 {
				m.begin()
				began := time.Now()
				select {
				case <-time.After(c.every):
				case <-cut:
					ended = true
				}
				waited += time.Since(began)
				m.end(c.bytes)
				if ended {
					break
				}
				time.Sleep(c.rest)
			}
			if ended != (c.cut > 0) || ended && (waited < c.cut || waited > c.cut+2*time.Second) {
				t.Errorf("%s: cut %v after %v of waiting, want %v", c.name, ended, waited, c.cut)
			}
		}
		m := &meter{pace: pace{time.Minute, 512}, cut: func() { t.Error("cut after the end") }}
		m.begin()
		m.stop()
		time.Sleep(time.Hour)
		m.end(0)
	})
}

// edge is a server in a bubble, with the paces that a farm has.
type edge struct {
	t    *testing.T
	net  *memnet.Network
	addr string
	cuts atomic.Int32
}

func inBubble(t *testing.T, secure bool, h http.HandlerFunc, script func(e *edge)) {
	t.Helper()
	var config *tls.Config
	if secure {
		s := httptest.NewUnstartedServer(nil)
		s.StartTLS()
		config = &tls.Config{Certificates: s.TLS.Certificates}
		s.Close()
	}
	bubble.Test(t, func(t *testing.T) {
		e := &edge{t: t, net: memnet.New()}
		l, err := e.net.Host("10.0.0.1").Listen(":80")
		if err != nil {
			t.Fatal(err)
		}
		e.addr = l.Addr().String()
		srv := &http.Server{TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			ErrorLog: errorLog(slog.New(slog.DiscardHandler))}
		srv.Handler = paced(h, paceOf(Config{}), srv, func() { e.cuts.Add(1) })
		go serve(srv, l)
		script(e)
		srv.Close()
		synctest.Wait()
	})
}

func (e *edge) dial() net.Conn {
	e.t.Helper()
	c, err := e.net.Host("10.0.0.2").Dial(context.Background(), e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// http2 returns a client that speaks HTTP/2, whose connections end with the script.
func (e *edge) http2() *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.net.Host("10.0.0.2").Dial(ctx, e.addr)
		}}}
}

// A body that a handler reads has to come. It may take as long as it likes while nobody reads it, and as long as the handler says.
func TestSlowBodies(t *testing.T) {
	for _, c := range []struct {
		name      string
		every     time.Duration // between two pieces
		bytes     int
		pieces    int
		before    time.Duration // the handler does something else
		own       bool          // it has a deadline of its own
		kind      string        // Content-Type
		least     time.Duration // that the body takes
		most      time.Duration
		wantError bool
	}{
		{"never comes", time.Hour, 1, 2, 0, false, "", time.Minute, time.Minute, true},
		{"comes byte by byte", time.Second, 1, 200, 0, false, "", time.Minute, 62 * time.Second, true},
		{"comes steadily", time.Second, 600, 600, 0, false, "", 599 * time.Second, 600 * time.Second, false},
		{"comes while nobody reads", time.Second, 1, 10, time.Hour, false, "", time.Hour, time.Hour, false},
		{"comes late, as the handler likes it", 10 * time.Minute, 1, 3, 0, true, "", 20 * time.Minute, 20 * time.Minute, false},
		{"is a stream of gRPC", 10 * time.Minute, 1, 3, 0, false, "application/grpc+proto", 20 * time.Minute, 20 * time.Minute, false},
	} {
		for _, two := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s HTTP2 %v", c.name, two), func(t *testing.T) {
				result := make(chan error, 1)
				var took time.Duration
				h := func(w http.ResponseWriter, r *http.Request) {
					began := time.Now()
					if c.own {
						if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(c.before)
					_, err := io.Copy(io.Discard, r.Body)
					took = time.Since(began)
					if err != nil {
						w.WriteHeader(http.StatusRequestTimeout)
					}
					result <- err
				}
				inBubble(t, two, h, func(e *edge) {
					body := make(chan struct{})
					r, w := io.Pipe()
					go func() {
						defer close(body)
						for i := range c.pieces {
							if i > 0 {
								time.Sleep(c.every)
							}
							if _, err := w.Write(make([]byte, c.bytes)); err != nil {
								return
							}
						}
						w.Close()
					}()
					client, scheme := e.http2(), "https"
					if !two {
						scheme = "http"
					}
					res, err := client.Post(scheme+"://"+e.addr, c.kind, r)
					got := <-result
					if (got != nil) != c.wantError || c.wantError && !errors.Is(got, os.ErrDeadlineExceeded) {
						t.Errorf("the body ends with %v", got)
					}
					if took < c.least || took > c.most {
						t.Errorf("after %v", took)
					}
					if err != nil || (res.StatusCode == 200) == c.wantError {
						t.Errorf("answered with %v, %v", res, err)
					}
					if err == nil {
						res.Body.Close()
					}
					if n := e.cuts.Load(); (n == 1) != c.wantError || n > 1 {
						t.Errorf("%d were cut off", n)
					}
					r.Close()
					<-body
					client.CloseIdleConnections()
				})
			})
		}
	}
}

// What net/http reads of a body that a handler has left is not waited for without end either: behind the handler, and before the
// header of an answer that goes on. A body that is there costs such an answer nothing, however long it is silent.
func TestSlowBodiesThatAreLeft(t *testing.T) {
	const quiet = 10 * time.Minute
	var flushed time.Duration
	var ended error
	h := func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if r.URL.Path == "/events" {
			http.NewResponseController(w).Flush()
			flushed = time.Since(began)
			time.Sleep(quiet)
			io.WriteString(w, "event")
			ended = r.Context().Err()
		}
	}
	for _, c := range []struct {
		path, body string
		least      time.Duration // until the connection ends, or the answer has come
		most       time.Duration
		whole      bool
	}{
		{"/", "torn", time.Minute, 62 * time.Second, false},
		{"/events", "torn", quiet + time.Minute, quiet + 122*time.Second, false}, // it is tried twice
		{"/events", "whole body", quiet, quiet, true},
	} {
		inBubble(t, false, h, func(e *edge) {
			began := time.Now()
			conn := e.dial()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n%s", c.path, c.body)
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			if err != nil || c.path == "/events" && string(b) != "event" {
				t.Errorf("%s %s: %q, %v", c.path, c.body, b, err)
			}
			if !c.whole {
				in.ReadByte() // until the connection ends
			}
			if took := time.Since(began); took < c.least || took > c.most {
				t.Errorf("%s %s: %v", c.path, c.body, took)
			}
			if c.whole && (flushed != 0 || ended != nil) {
				t.Errorf("%s %s: the header took %v; %v", c.path, c.body, flushed, ended)
			}
			if c.whole { // the connection is as good as before, and has no deadline that was left
				time.Sleep(100 * time.Second)
				fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
					t.Errorf("the next request: %v, %v", res, err)
				}
			}
			conn.Close()
		})
	}
}

// Of HTTP/2, a stream whose client takes nothing is reset, and the others of its connection go on; one that is silent is not.
func TestSlowReadersOfHTTP2(t *testing.T) {
	var written chan error // made in the bubble
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/much":
			_, err := w.Write(make([]byte, 32<<20))
			written <- err
		case "/events":
			for range 3 {
				time.Sleep(10 * time.Minute)
				io.WriteString(w, "event ")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}
		default:
			io.WriteString(w, "ok")
		}
	}
	inBubble(t, true, h, func(e *edge) {
		written = make(chan error, 1)
		client := e.http2()
		get := func(path string) *http.Response {
			res, err := client.Get("https://" + e.addr + path)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		much := get("/much")
		began := time.Now()
		if err := <-written; err == nil {
			t.Error("all was written, and nobody reads")
		}
		if took := time.Since(began); took < 59*time.Second || took > 61*time.Second || e.cuts.Load() != 1 {
			t.Errorf("after %v, %d were cut off", took, e.cuts.Load())
		}
		much.Body.Close()
		events := get("/events")
		if b, err := io.ReadAll(events.Body); err != nil || string(b) != "event event event " {
			t.Errorf("events %q, %v", b, err)
		}
		events.Body.Close()
		other := get("/")
		if b, err := io.ReadAll(other.Body); err != nil || string(b) != "ok" || e.cuts.Load() != 1 {
			t.Errorf("%q, %v; %d were cut off", b, err, e.cuts.Load())
		}
		other.Body.Close()
		client.CloseIdleConnections()
	})
}

// A client of HTTP/2 whose window is empty does not keep the end of an answer for ever, when its handler has returned.
func TestSlowReadersOfHTTP2_End(t *testing.T) {
	inBubble(t, true, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "short") }, func(e *edge) {
		conn := tls.Client(e.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
			"\x00\x00\x06\x04\x00\x00\x00\x00\x00"+"\x00\x04\x00\x00\x00\x00"+ // SETTINGS: the initial window is 0
			"\x00\x00\x06\x01\x05\x00\x00\x00\x01"+"\x82\x87\x84\x41\x01h") // HEADERS: GET https / h, the end
		began := time.Now()
		for {
			var head [9]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
				t.Fatal(err)
			}
			if head[3] == 3 { // RST_STREAM
				break
			}
		}
		if took := time.Since(began); took < time.Minute || took > 61*time.Second {
			t.Errorf("reset after %v", took)
		}
		conn.Close()
	})
}

// Headers have to come within ten seconds, in whatever pieces.
func TestSlowHeaders(t *testing.T) {
	f := &Farm{log: slog.New(slog.DiscardHandler)}
	if d := f.server(http.NotFoundHandler(), t.Context(), &freshConns{}).ReadHeaderTimeout; d != 10*time.Second {
		t.Errorf("a farm's server waits for %v", d)
	}
	inBubble(t, false, ok, func(e *edge) {
		conn := e.dial()
		began := time.Now()
		go func() {
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhh\r\n\r\n") {
				conn.Write([]byte{b})
				time.Sleep(time.Second)
			}
		}()
		b, _ := io.ReadAll(conn)
		if took := time.Since(began); took != 10*time.Second || strings.Contains(string(b), " 200 ") {
			t.Errorf("%q after %v", b, took)
		}
		conn.Close()
		time.Sleep(time.Minute)
	})
}

// Of TCP, a client that takes nothing is cut off, whatever it is that it does not take; one that reads slowly is not.
//
// Slow: what the system does with real connections takes real time, three seconds on a machine with nothing else to do.
func TestSlowReadersOfTCP(t *testing.T) {
	const size = 64 << 20
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	ends := make(chan error, 1)
	b := serveBounded(t, nil, 0, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, err = io.Copy(w, f)
			ends <- err
		case "/hijack":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, err = c.Write(make([]byte, size))
			ends <- err
		default:
			_, err := w.Write(make([]byte, size))
			ends <- err
		}
	}, func(c *clients) {
		c.pace, c.slow = pace{stall: 300 * time.Millisecond, rate: 512}, &slowLog{log: c.log}
	})
	for _, path := range []string{"/", "/file", "/hijack"} {
		v := b.connect()
		if err := v.send(path); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ends:
			if err == nil {
				t.Errorf("%s: all of it was taken by nobody", path)
			}
		case <-time.After(time.Minute):
			ci.Latef(t, "%s: the client was not cut off", path)
		}
	}
	if got := b.log.String(); strings.Count(got, "made no progress") != 1 {
		t.Errorf("logged %s", got)
	}
	b.until("the connections are gone", func() bool { return b.l.total == 0 })
	for _, path := range []string{"/", "/file"} {
		steadily(t, b.connect(), path, ends)
	}
}

// steadily reads an answer at a pace that is good enough, for three times as long as a client may make no progress.
func steadily(t *testing.T, v *visitor, path string, ends <-chan error) {
	t.Helper()
	v.SetReadDeadline(time.Now().Add(time.Minute))
	if err := v.send(path); err != nil {
		t.Fatal(err)
	}
	const pause = 20 * time.Millisecond
	buf := make([]byte, 32<<10)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for began, last := time.Now(), time.Now(); time.Since(began) < time.Second; last = time.Now() {
		<-tick.C
		if time.Since(last) > 150*time.Millisecond {
			t.Log("this machine is too busy to read steadily")
			return
		}
		if _, err := io.ReadFull(v.in, buf); err != nil {
			if took := time.Since(last); took > 150*time.Millisecond {
				ci.Latef(t, "%s: cut off when nothing was read for %v: %v", path, took, err)
			}
			t.Fatalf("%s: cut off in the middle: %v", path, err)
		}
	}
	v.Close()
	<-ends
}

// What it costs to watch a write.
func BenchmarkMeter(b *testing.B) {
	m := &meter{pace: pace{time.Minute, 512}, cut: func() { b.Error("cut") }}
	for b.Loop() {
		m.begin()
		m.end(4096)
	}
}
