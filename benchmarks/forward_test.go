package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Ways of each kind, those that are installed, for a moment, and a few streams. Nothing fails, and there are
// figures.
func TestForwardAndStreams(t *testing.T) {
	var out bytes.Buffer
	b := bench{modes: []string{modeForward}, rounds: 1, duration: 100 * time.Millisecond, clients: 4, rate: 500,
		ways: []string{wayFront, wayDirect, wayDraining, wayHTTPUtil + secure, "nginx", "haproxy" + secure, "caddy"},
		idle: 20, settle: 50 * time.Millisecond, dir: t.TempDir(), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.modes, b.ways = []string{modeStreams}, []string{wayFront, "nginx"}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if strings.Contains(out.String(), "failed with") {
		t.Error("something failed")
	}
	for _, figures := range []string{`(?m)^ *front +[1-9]\d* .*[0-9]µs +0$`, `(?m)^ *front +500 `,
		`(?m)^ *front +[0-9.]+ KiB `} {
		if !regexp.MustCompile(figures).MatchString(out.String()) {
			t.Errorf("no figures like %s", figures)
		}
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRatios(t *testing.T) {
	if got, want := ratios([]float64{30, 10, 24}, []float64{10, 10, 8}), "3.00 x (1.00-3.00)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is not the whole answer is a failure, and the connection is given up.
func TestRequesterLooks(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n" + strings.Repeat("x", answerSize)
	for _, c := range []struct {
		answer     string
		last, fail bool
	}{
		{answer: whole},
		{answer: strings.Replace(whole, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), last: true},
		{answer: strings.Replace(whole, "1024", "1023", 1), last: true, fail: true},
		{answer: strings.Replace(whole, "200 OK", "502 Bad Gateway", 1), last: true, fail: true},
		{answer: whole[:len(whole)-1], last: false, fail: true},
		{answer: "HTTP/1.1 200 OK\r\n", last: true, fail: true},
	} {
		r := &requester{asking: asking{addr: answering(t, c.answer)}}
		if err := r.dial(); err != nil {
			t.Fatal(err)
		}
		last, err := r.answer()
		if last != c.last || (err != nil) != c.fail {
			t.Errorf("%.40q: last %v, %v", c.answer, last, err)
		}
		r.close()
	}
}

// answering returns the address of somebody who says this to the first who comes, and hangs up.
func answering(t *testing.T, what string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, what)
			c.Close()
		}
	}()
	return l.Addr().String()
}
