package forward

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// frame returns a frame of RFC 6455.
func frame(first byte, size int, masked bool) (b []byte) {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch {
	case size < 126:
		b = append(b, first, mask|byte(size))
	case size <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, first, mask|126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, mask|127), uint64(size))
	}
	if masked {
		b = append(b, 'H', 'T', 'T', 'P')
	}
	return append(b, bytes.Repeat([]byte{'H'}, size)...)
}

const answer101 = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// Wherever what is written is torn, it is known where a frame ends, and nowhere else one seems to.
func TestFrames(t *testing.T) {
	for _, answer := range []string{"", answer101, "HTTP/1.1 101 \r\n\r\n"} {
		stream := []byte(answer)
		ends := map[int]bool{0: true, len(answer): true}
		for _, f := range [][]byte{
			frame(0x81, 0, false), frame(0x82, 1, false), frame(0x01, 125, false), frame(0x89, 4, true),
			frame(0x80, 126, true), frame(0xc1, 127, false), frame(0x82, 0xffff, false),
			frame(0x82, 0x10000, true), frame(0x82, 3, false),
		} {
			stream = append(stream, f...)
			ends[len(stream)] = true
		}
		for range 200 {
			var f frames
			for at := 0; at < len(stream); {
				n := min(1+rand.IntN(1<<rand.IntN(18)), len(stream)-at)
				f.pass(stream[at : at+n])
				at += n
				if f.between() != ends[at] {
					t.Fatalf("at %d: between frames is %v", at, f.between())
				}
			}
		}
		var f frames
		for at := range stream {
			f.pass(stream[at : at+1])
			if f.between() != ends[at+1] {
				t.Fatalf("bytewise at %d: between frames is %v", at+1, f.between())
			}
		}
	}
}

// What is no WebSocket, or closes by itself, has no room for a frame ever after.
func TestFrames_NoRoom(t *testing.T) {
	for _, s := range []string{
		"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.0 101 Old\r\n\r\n", "Hello", "H" + answer101,
		answer101 + string(frame(0x88, 2, false)), string(frame(0x88, 2, false)),
		string(frame(0x88, 0, true)),
		"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		var f frames
		f.pass([]byte(s))
		if f.between() {
			t.Errorf("after %.20q there is room", s)
		}
		f.pass(frame(0x82, 3, false))
		if f.between() {
			t.Errorf("after %.20q and a frame there is room", s)
		}
	}
}

// speak answers with some bytes of a WebSocket, and takes no notice of a drain.
func speak(t *testing.T, bytes string, stays bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		rw.WriteString(answer101 + bytes)
		rw.Flush()
		read := func() {
			defer conn.Close()
			io.Copy(io.Discard, rw)
		}
		if !stays { // as many programs do
			go read()
			return
		}
		read()
	}
}

// opens asks for a WebSocket, and reads the given bytes.
func opens(t *testing.T, n *fakeNode, bytes string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", n.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	got := make([]byte, len(bytes))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != bytes {
		t.Fatalf("%q, %v", got, err)
	}
	return conn, in
}

// A draining node ends WebSockets whose handlers take no notice: with a close frame where there is room for
// one. It does so on the node that runs the handler, and on the one that took the request, whether or not
// the handler stays.
func TestDrain_EndsWebSockets(t *testing.T) {
	const going = "\x88\x02\x03\xe9"
	whole := string(frame(0x81, 5, false))
	for name, c := range map[string]struct {
		sent, want string
		forwarded  bool
		left       bool // the handler returns
		alone      bool
	}{
		"between frames":  {sent: whole, want: going},
		"in a frame":      {sent: whole + "\x81\x05ab"},
		"nothing yet":     {want: going},
		"handler left":    {sent: whole, want: going, left: true},
		"forwarded":       {sent: whole, want: going, forwarded: true},
		"forwarded, left": {sent: whole, want: going, forwarded: true, left: true},
		"forwarded, in":   {sent: "\x81\x05ab", forwarded: true},
		"alone":           {sent: whole, want: going, alone: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeFarm(t)
			cfg := Config{CloseSpread: 50 * time.Millisecond, Linger: -1}
			role := cfg
			if c.forwarded {
				role.Role = "front"
			}
			a := f.add("a", role, speak(t, c.sent, !c.left))
			a.gate.Admit()
			if !c.alone {
				f.add("b", cfg, speak(t, c.sent, !c.left)).gate.Admit()
				a.sees("b")
			}
			conn, in := opens(t, a, c.sent)
			if _, n, _ := a.gate.Running(); n != 1 {
				t.Errorf("%d streams", n)
			}
			a.gate.Drain()
			got := make([]byte, len(c.want))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			conn.Write(frame(0x88, 2, true))
			if rest, _ := io.ReadAll(in); len(rest) > 0 {
				t.Errorf("%q after the end", rest)
			}
			if n := a.gate.Idle(t.Context()); n != 0 {
				t.Errorf("%d still run", n)
			}
		})
	}
}

// The handler of a forwarded WebSocket is told that the node drains which took it, and has the last word.
func TestDrain_TellsForwardedWebSockets(t *testing.T) {
	const normal = "\x88\x02\x03\xe8"
	polite := func(w http.ResponseWriter, r *http.Request) {
		told := Draining(r.Context())
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString(answer101)
		rw.Flush()
		<-told
		rw.WriteString(normal)
		rw.Flush()
		io.Copy(io.Discard, rw)
	}
	f := newFakeFarm(t)
	cfg := Config{CloseSpread: time.Hour, DrainTimeout: 3 * time.Hour, Linger: -1} // nobody is cut off
	front := cfg
	front.Role = "front"
	a := f.add("a", front, never(t))
	b := f.add("b", cfg, http.HandlerFunc(polite))
	a.gate.Admit()
	b.gate.Admit()
	a.sees("b")
	conn, in := opens(t, a, "")
	a.gate.Drain()
	got := make([]byte, len(normal))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != normal {
		t.Errorf("%q, %v; want %q", got, err, normal)
	}
	conn.Close()
	if n := a.gate.Idle(t.Context()); n != 0 {
		t.Errorf("%d still run", n)
	}
	if _, n, _ := b.gate.Running(); n != 0 {
		eventually(t, func() bool { _, n, _ := b.gate.Running(); return n == 0 })
	}
}

// A WebSocket that ends before the drain, or during its grace, is not waited for.
func TestDrain_WebSocketHasEnded(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{CloseSpread: time.Hour, DrainTimeout: 3 * time.Hour}, speak(t, "", true))
	a.gate.Admit()
	conn, _ := opens(t, a, "")
	conn.Close()
	eventually(t, func() bool { _, n, _ := a.gate.Running(); return n == 0 })
	conn, _ = opens(t, a, "")
	a.gate.Drain()
	conn.Close()
	began := time.Now()
	if n := a.gate.Idle(t.Context()); n != 0 {
		t.Errorf("%d still run", n)
	}
	if took := time.Since(began); took > time.Minute { // it would be the fifth of an hour
		ci.Latef(t, "waited %v", took)
	}
}
