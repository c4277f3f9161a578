package farm

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// connectFrom is like connect, from another address of loopback.
func (b *bounded) connectFrom(addr string) *visitor {
	b.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	c, err := d.Dial("tcp", b.l.Addr().String())
	if err != nil {
		ci.Missingf(b.t, "the address %s of loopback: %v", addr, err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &visitor{t: b.t, Conn: c, in: bufio.NewReader(c)}
}

// Bodies that do not end, all from one address, hold its share of the connections and no more.
func TestOneClientHasItsShare(t *testing.T) {
	busy := make(chan struct{}, 100)
	b := serveBounded(t, nil, 8, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			busy <- struct{}{}
			io.Copy(io.Discard, r.Body)
		}
		ok(w, r)
	}, func(c *clients) {
		c.share = maxPerClient(0, 12)
		c.exempt = func(c net.Conn) bool { return strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.3:") }
	})
	post := func(v *visitor) *visitor {
		if _, err := io.WriteString(v, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nslow"); err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range 3 {
		post(b.connectFrom("127.0.0.2"))
		<-busy
	}
	for range 5 {
		refused := b.connectFrom("127.0.0.2")
		if _, err := refused.in.ReadByte(); err == nil {
			t.Fatal("a fourth of one address was accepted")
		}
	}
	b.connect().mustGet("/")
	for range 4 { // a trusted proxy has no bound but that of all
		post(b.connectFrom("127.0.0.3"))
		<-busy
	}
	b.connect().mustGet("/")
	got := b.log.String()
	if strings.Count(got, "as many connections within requests as one may have") != 1 || !strings.Contains(got, "client=127.0.0.2 limit=3") {
		t.Errorf("logged %s", got)
	}
	b.until("what is gone is forgotten", func() bool { return len(b.l.hosts["127.0.0.2"]) == 3 && b.l.hosts["127.0.0.3"] == nil })
}

// A client that has as many as it may loses the oldest of its own that is idle, and nobody else's.
func TestOwnIdleConnectionGivesWay(t *testing.T) {
	b := serveBounded(t, nil, 100, ok, func(c *clients) {
		c.share = 3
		c.exempt = func(net.Conn) bool { return false }
	})
	other := b.connectFrom("127.0.0.2")
	other.mustGet("/")
	var mine []*visitor
	for i := range 5 {
		v := b.connect()
		v.mustGet("/")
		mine = append(mine, v)
		b.idle(min(i+2, 4))
	}
	mine[0].gone()
	mine[1].gone()
	for _, v := range append(mine[2:], other) {
		v.mustGet("/")
	}
}

func TestMaxPerClient(t *testing.T) {
	for _, c := range []struct{ configured, limit, want int }{{0, 0, 0}, {0, 100, 25}, {0, 3, 1}, {7, 0, 7}, {-1, 100, 0}} {
		if n := maxPerClient(c.configured, c.limit); n != c.want {
			t.Errorf("%+v: %d", c, n)
		}
	}
}

// A connection on which something comes for seconds and no request is not within one.
func TestChatterIsNoRequest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var cl client
		if cl.heardLately(moment()) {
			t.Error("heard of before anything came")
		}
		for i := range 50 {
			cl.listen()
			if got, want := cl.heardLately(moment()), i < 20; got != want {
				t.Fatalf("after %d tenths of a second: %v", i, got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(hearTime)
		if cl.heardLately(moment()) {
			t.Error("heard of long afterwards")
		}
		if cl.listen(); !cl.heardLately(moment()) {
			t.Error("not heard of after a rest")
		}
	})
}

// HTTP/2 connections that have sent no request are no idle ones: they displace each other, and not those that are used.
func TestFloodOfHTTP2WithoutRequests(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{t: t, l: newClients(l, 8, slog.New(slog.DiscardHandler))}
	b.srv = &http.Server{Handler: http.HandlerFunc(ok), ConnState: b.l.hook(nil), ErrorLog: errorLog(slog.New(slog.DiscardHandler)),
		TLSConfig: &tls.Config{Certificates: cert.TLS.Certificates}}
	go b.srv.ServeTLS(b.l, "", "")
	defer b.srv.Close()
	var lost atomic.Bool
	used := tlsClient(true, func() { lost.Store(true) })
	get := func() {
		t.Helper()
		res, err := used.Get("https://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if res.Body.Close(); res.ProtoMajor != 2 {
			t.Errorf("HTTP/%d", res.ProtoMajor)
		}
		b.idle(1)
	}
	get()
	for range 40 {
		c := tls.Client(b.connect().Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		fmt.Fprint(c, http2Preface) // an error if it had to give way already
		var settings [9]byte
		if _, err := io.ReadFull(c, settings[:]); err == nil && settings[3] != 4 {
			t.Errorf("the server begins with a frame of type %d", settings[3])
		}
	}
	get()
	b.until("without a request they are new", func() bool { return b.l.total <= 8 && b.l.idlers() == 1 })
	if lost.Load() {
		t.Error("the connection that is used was closed")
	}
}

// http2Preface is the preface of a client, and an empty frame of settings.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
