package adminwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func pair(ctx context.Context, idle time.Duration) (a, b *Conn) {
	x, y := net.Pipe()
	return NewConn(ctx, x, idle), NewConn(ctx, y, idle)
}

func TestExchange(t *testing.T) {
	a, b := pair(t.Context(), time.Minute)
	sent := bytes.Repeat([]byte("0123456789"), 20_000)
	go func() {
		a.Send(KindRequest, Request{Verb: VerbLeave, Node: "n1"})
		s := a.Stream()
		s.Write(sent)
		s.Close()
		a.Send(KindAnswer, map[string]int{"n": 7})
		a.Fail(Failed(ErrRefused, "n1 is alive"))
	}()
	req, err := b.ReceiveRequest()
	if err != nil || !reflect.DeepEqual(req, Request{Verb: VerbLeave, Node: "n1"}) {
		t.Fatalf("%+v, %v", req, err)
	}
	if got, err := io.ReadAll(b.Chunks()); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	var v struct{ N int }
	if err := b.Answer(&v); err != nil || v.N != 7 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := b.Answer(&v); !errors.Is(err, ErrRefused) || err.Error() != "n1 is alive" {
		t.Errorf("failure: %v", err)
	}
}

func TestFailuresCrossNodes(t *testing.T) {
	for code, is := range codes {
		got := Unpack(Pack(nil, fmt.Errorf("in the middle of it: %w", is)), nil)
		if !errors.Is(got, is) || !strings.HasPrefix(got.Error(), "in the middle of it: ") {
			t.Errorf("%s: %v", code, got)
		}
	}
	if err := Unpack(Pack(nil, io.ErrClosedPipe), nil); err == nil ||
		err.Error() != io.ErrClosedPipe.Error() {
		t.Errorf("an error without a code: %v", err)
	}
	var n int
	if err := Unpack(Pack(5, nil), &n); err != nil || n != 5 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestHostileBytes(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":          {},
		"half a head":      {0, 0},
		"a great frame":    {0xff, 0xff, 0xff, 0xff, 1},
		"a frame cut off":  {0, 0, 0, 9, 1, '{'},
		"no JSON":          {0, 0, 0, 1, 1, '{'},
		"another kind":     {0, 0, 0, 2, 4, '{', '}'},
		"HTTP":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a list of length": append(binary.BigEndian.AppendUint32(nil, maxFrame), 1, '['),
	} {
		x, y := net.Pipe()
		go func() {
			x.Write(b)
			x.Close()
		}()
		if req, err := NewConn(t.Context(), y, time.Minute).ReceiveRequest(); err == nil {
			t.Errorf("%s was taken for %+v", name, req)
		}
	}
}

// Neither end waits for ever for the other, nor longer than its context.
func TestPatience(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := pair(t.Context(), 10*time.Second)
		began := time.Now()
		if _, _, err := a.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) ||
			time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, _ = pair(ctx, 10*time.Second)
		began = time.Now()
		if _, err := a.Stream().Write(make([]byte, 1<<20)); err == nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func FuzzConn(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, '{', '}'})
	f.Add(append([]byte{0, 0, 0, 3, 2}, "abc\x00\x00\x00\x00\x03"...))
	f.Add([]byte("\x00\x00\x00\x1f\x05{\"code\":\"refused\",\"text\":\"no\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(do func(c *Conn)) {
			x, y := net.Pipe()
			go func() {
				x.Write(b)
				x.Close()
			}()
			c := NewConn(t.Context(), y, time.Minute)
			defer c.Close()
			do(c)
		}
		read(func(c *Conn) { c.ReceiveRequest() })
		read(func(c *Conn) {
			if n, _ := io.Copy(io.Discard, c.Chunks()); n > int64(len(b)) {
				t.Errorf("%d bytes of chunks in %d", n, len(b))
			}
		})
		read(func(c *Conn) { c.Answer(&Request{}) })
	})
}
