package tcpio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair returns both ends of a connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// What is read and written is what the other end gets and sends, in pieces of any length.
func TestOf_Bytes(t *testing.T) {
	near, far := pair(t)
	q := Of(near)
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i * i >> 3)
	}
	go func() {
		defer near.CloseWrite()
		for b, n := want, 1; len(b) > 0; n = n*3%70_001 + 1 {
			n := min(n, len(b))
			if m, err := q.Write(b[:n]); m != n || err != nil {
				t.Errorf("%d of %d bytes written, error %v", m, n, err)
				return
			}
			b = b[n:]
		}
	}()
	var got []byte
	in, piece := Of(far), make([]byte, 60_000)
	for n := 1; ; n = n*5%50_021 + 1 {
		m, err := in.Read(piece[:n])
		if err == io.EOF && m == 0 {
			break
		}
		if err != nil || m == 0 || m > n {
			t.Fatalf("%d bytes, error %v", m, err)
		}
		got = append(got, piece[:m]...)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, or others", len(got), len(want))
	}
}

// What goes wrong is told as package net tells it.
func TestOf_Errors(t *testing.T) {
	past := time.Unix(1, 0)
	for _, c := range []struct {
		name   string
		ends   func(near, far *net.TCPConn)
		do     func(io.ReadWriter) (int, error)
		is     error // nil = any
		awaits bool  // it goes wrong only after a while
	}{
		{"end", func(_, far *net.TCPConn) { far.Close() }, readOnce, io.EOF, false},
		{"read after a close", func(near, _ *net.TCPConn) { near.Close() }, readOnce, net.ErrClosed, false},
		{"write after a close", func(near, _ *net.TCPConn) { near.Close() }, writeOnce, net.ErrClosed, false},
		{"read too late", func(near, _ *net.TCPConn) { near.SetDeadline(past) }, readOnce, os.ErrDeadlineExceeded, false},
		{"write too late", func(near, _ *net.TCPConn) { near.SetDeadline(past) }, writeOnce, os.ErrDeadlineExceeded, false},
		{"write behind an end of writes", func(near, _ *net.TCPConn) { near.CloseWrite() }, writeOnce, nil, false},
		{"read after a reset", reset, readOnce, nil, true},
		{"write after a reset", reset, writeOnce, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := pair(t)
			c.ends(near, far)
			theirs, want := outcome(near, c.do, c.awaits)
			near, far = pair(t)
			c.ends(near, far)
			ours, got := outcome(Of(near), c.do, c.awaits)
			if c.is != nil && !errors.Is(got, c.is) || got == nil || ours != theirs || plainText(got) != plainText(want) {
				t.Errorf("%d, %v, want %d, %v", ours, got, theirs, want)
			}
		})
	}
}

func readOnce(c io.ReadWriter) (int, error)  { return c.Read(make([]byte, 10)) }
func writeOnce(c io.ReadWriter) (int, error) { return c.Write(make([]byte, 10)) }

func reset(_, far *net.TCPConn) {
	far.SetLinger(0)
	far.Close()
}

// outcome returns what do came to; if it awaits an error, the first one.
func outcome(c io.ReadWriter, do func(io.ReadWriter) (int, error), awaits bool) (n int, err error) {
	for range 1000 {
		if n, err = do(c); err != nil || !awaits {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return n, err
}

// plainText is the text of an error without addresses.
func plainText(err error) string {
	of, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err.Error()
	}
	if of.Source == nil || of.Addr == nil {
		return "an error without addresses"
	}
	return of.Op + " " + of.Net + " " + of.Err.Error()
}

// A write that is not taken ends at its deadline, and says how much has left. Then it goes on.
func TestOf_Full(t *testing.T) {
	near, far := pair(t)
	near.SetWriteBuffer(16 << 10)
	far.SetReadBuffer(16 << 10)
	q, sent := Of(near), 0
	near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for {
		n, err := q.Write(make([]byte, 30<<10))
		if sent += n; err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		break
	}
	near.SetWriteDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		n, err := q.Write(make([]byte, 1))
		sent += n
		near.CloseWrite()
		done <- err
	}()
	got, err := io.Copy(io.Discard, far)
	if werr := <-done; werr != nil || err != nil || got != int64(sent) {
		t.Fatalf("%d of %d bytes, errors %v and %v", got, sent, werr, err)
	}
}

// A read that waits is woken by what comes, and by a deadline and a close of another goroutine. A write that waits does
// not stop it, nor do writers mix.
func TestOf_AtOnce(t *testing.T) {
	near, far := pair(t)
	q := Of(near)
	time.AfterFunc(5*time.Millisecond, func() { far.Write([]byte("x")) })
	if n, err := readOnce(q); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	time.AfterFunc(5*time.Millisecond, func() { near.SetReadDeadline(time.Unix(1, 0)) })
	if _, err := readOnce(q); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	near.SetReadDeadline(time.Time{})
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 50 {
				if _, err := q.Write(bytes.Repeat([]byte{byte('a' + i)}, 10_000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond) // they wait by now
	far.Write([]byte("y"))
	if n, err := readOnce(q); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	piece := make([]byte, 10_000)
	for range 8 * 50 {
		if _, err := io.ReadFull(far, piece); err != nil || bytes.Count(piece, piece[:1]) != len(piece) {
			t.Fatalf("a write in pieces, error %v", err)
		}
	}
	writers.Wait()
	time.AfterFunc(5*time.Millisecond, func() { near.Close() })
	if _, err := readOnce(q); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

// A connection of another kind is used as it is.
func TestOf_Others(t *testing.T) {
	c, _ := net.Pipe()
	if Of(c) != io.ReadWriter(c) {
		t.Error("wrapped")
	}
}
