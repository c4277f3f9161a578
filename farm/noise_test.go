package farm

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// What strangers cause is one line of a kind in a while, with a count; what a handler causes is a line at once.
func TestNoise(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &syncBuffer{}
		l := newNoise(slog.New(slog.NewTextHandler(out, nil)))
		lines := func() int { return strings.Count(out.String(), "\n") }
		for i := range 3000 {
			l.Printf("http: TLS handshake error from 192.0.2.1:%d: EOF", i)
			l.Printf("http2: server: error reading preface from client 192.0.2.1:%d: bogus", i)
			time.Sleep(time.Millisecond)
		}
		if lines() != 0 {
			t.Errorf("logged %s", out)
		}
		l.Print("http: panic serving 192.0.2.1:1: oops\ngoroutine 1 [running]")
		if lines() != 1 || !strings.Contains(out.String(), "oops") {
			t.Errorf("of a panic: %s", out)
		}
		time.Sleep(3 * time.Second)
		got := out.String()
		if lines() != 3 || strings.Count(got, "count=3000") != 2 || !strings.Contains(got, "192.0.2.1:2999") {
			t.Errorf("logged %s", got)
		}
		for range 100 { // goes on for 100 s more
			l.Print("http: TLS handshake error from 192.0.2.1:9: EOF")
			time.Sleep(time.Second)
		}
		if lines() != 4 {
			t.Errorf("after 100 s more: %s", out)
		}
		endNoise(l)
		if lines() != 5 {
			t.Errorf("at the end: %s", out)
		}
		l.Print("http: TLS handshake error from 192.0.2.1:10: EOF")
		total := 0
		for line := range strings.SplitSeq(out.String(), "\n") {
			var n int
			if _, after, ok := strings.Cut(line, `msg="TLS handshakes failed" count=`); ok {
				fmt.Sscan(after, &n)
				total += n
			}
		}
		if total != 3100 || lines() != 6 {
			t.Errorf("%d are counted: %s", total, out)
		}
	})
}

// A logger that is told of noise may make some: it is told when no lock is held.
func TestNoise_LoggerMakesSome(t *testing.T) {
	var l *log.Logger
	lines := 0
	l = newNoise(slog.New(onLine(func() {
		lines++
		l.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
	})))
	done := make(chan struct{})
	go func() {
		l.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
		l.Writer().(*noise).say(l.Writer().(*noise).only())
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the logger waits for itself")
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
}

// The end waits for a line that a timer is just making: the program may exit after it.
func TestNoise_EndsWhileItSays(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		lines := 0
		l := newNoise(slog.New(onLine(func() {
			time.Sleep(time.Second)
			lines++
		})))
		l.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
		time.Sleep(noiseSoon + time.Millisecond)
		endNoise(l)
		if lines != 1 {
			t.Errorf("%d lines", lines)
		}
	})
}

// only returns the one kind of what was heard.
func (n *noise) only() (means string, h *heard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for means, h = range n.of {
		break
	}
	return means, h
}

// onLine is a slog.Handler that does something at each line.
type onLine func()

func (onLine) Enabled(context.Context, slog.Level) bool    { return true }
func (f onLine) Handle(context.Context, slog.Record) error { f(); return nil }
func (f onLine) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f onLine) WithGroup(string) slog.Handler             { return f }
