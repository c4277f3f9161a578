package parity

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Types and flags of frames of HTTP/2 (RFC 9113).
const (
	fData         = 0
	fHeaders      = 1
	fPriority     = 2
	fReset        = 3
	fSettings     = 4
	fPing         = 6
	fGoAway       = 7
	fWindow       = 8
	fContinuation = 9

	flagEnd    = 1 // of the stream
	flagHeader = 4 // the header is complete
	flagPadded = 8 // the first byte says how many are padding
	flagAck    = 1 // of SETTINGS and PING
	maxFrame   = 1 << 14
)

// frame is one frame, as bytes.
func frame(kind, flags byte, stream uint32, payload []byte) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	b = binary.BigEndian.AppendUint32(b, stream)
	return string(append(b, payload...))
}

// head is a request's header: fields are names and values, in turn. end = there is no body.
func head(stream uint32, end bool, fields ...string) string {
	block := putFields(nil, fields...)
	var all strings.Builder
	kind, flags := byte(fHeaders), byte(0)
	if end {
		flags = flagEnd
	}
	for len(block) > maxFrame {
		all.WriteString(frame(kind, flags, stream, block[:maxFrame]))
		kind, flags, block = fContinuation, 0, block[maxFrame:]
	}
	all.WriteString(frame(kind, flags|flagHeader, stream, block))
	return all.String()
}

func data(stream uint32, end bool, text string) string {
	flags := byte(0)
	if end {
		flags = flagEnd
	}
	return frame(fData, flags, stream, []byte(text))
}

func reset(stream, code uint32) string {
	return frame(fReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

// stream is what was received on one stream.
type stream struct {
	text  strings.Builder // headers and trailers
	body  []byte
	ended bool
}

// h2client is the client's end of a connection of HTTP/2.
type h2client struct {
	conn    *tls.Conn
	notes   *notes
	trouble string

	mu      sync.Mutex
	streams map[uint32]*stream // guarded by mu
	goaway  string             // guarded by mu
	over    bool               // guarded by mu
	news    chan struct{}      // closed and replaced at each change; guarded by mu
}

// connectH2 begins a connection with windows so large that no one needs to be opened, and without a dynamic
// table.
func connectH2(t *testing.T, app *book, srv *httptest.Server, do handler) *h2client {
	t.Helper()
	conn, page := dial(t, app, srv, do)
	c := &h2client{notes: page, streams: make(map[uint32]*stream), news: make(chan struct{})}
	c.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example",
		NextProtos: []string{"h2"}})
	settings := []byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff}
	window := binary.BigEndian.AppendUint32(nil, 1<<31-1-65535)
	io.WriteString(c.conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(fSettings, 0, 0, settings)+frame(fWindow, 0,
		0, window))
	go c.receive() // ends with the connection
	return c
}

func (c *h2client) receive() {
	in := bufio.NewReader(c.conn)
	for {
		var h [9]byte
		_, err := io.ReadFull(in, h[:])
		p := make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
		if err == nil {
			_, err = io.ReadFull(in, p)
		}
		for err == nil && h[3] == fHeaders && h[4]&flagHeader == 0 || err == nil && h[3] == fContinuation {
			var more [9]byte
			if _, err = io.ReadFull(in, more[:]); err != nil {
				break
			}
			part := make([]byte, int(more[0])<<16|int(more[1])<<8|int(more[2]))
			_, err = io.ReadFull(in, part)
			p = append(p, part...)
			if h[4] |= more[4] & flagHeader; more[4]&flagHeader != 0 {
				break
			}
		}
		c.mu.Lock()
		if err == nil {
			c.takeLocked(h[3], h[4], binary.BigEndian.Uint32(h[5:]), p)
		}
		c.over = err != nil
		close(c.news)
		c.news = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// takeLocked notes what a frame says.
func (c *h2client) takeLocked(kind, flags byte, id uint32, p []byte) {
	switch kind {
	case fGoAway:
		if code := binary.BigEndian.Uint32(p[4:]); code != 0 { // 0 = later, when all streams have ended
			c.goaway = fmt.Sprintf("the connection ends: code %d\n", code)
		}
		return
	case fData, fHeaders, fReset:
	default:
		return // about windows, and the connection
	}
	s := c.streams[id]
	if s == nil {
		s = &stream{}
		c.streams[id] = s
	}
	switch kind {
	case fData:
		s.body = append(s.body, p...)
	case fHeaders:
		s.text.WriteString(fieldLines(p))
	case fReset:
		fmt.Fprintf(&s.text, "reset, code %d\n", binary.BigEndian.Uint32(p))
		s.ended = true
		return
	}
	s.ended = s.ended || flags&flagEnd != 0
}

// fieldLines are the fields of a block, sorted, without what must differ: see answers.
func fieldLines(block []byte) string {
	fields, err := fieldsOf(block)
	var lines []string
	interim := len(fields) > 1 && fields[0] == ":status" && strings.HasPrefix(fields[1], "1")
	for i := 0; i < len(fields); i += 2 {
		if interim && fields[i] == "connection" {
			continue
		}
		if name := fields[i]; name == "date" || name == "x-request-id" {
			fields[i+1] = "..."
		}
		lines = append(lines, fmt.Sprintf("  %s: %s\n", fields[i], short(fields[i+1])))
	}
	slices.Sort(lines)
	return fmt.Sprintf("fields %s\n%s", failure(err), strings.Join(lines, ""))
}

// await waits for a condition, which is asked for with the lock held.
func (c *h2client) await(what string, ok func() bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		c.mu.Lock()
		done, news := ok() || c.over, c.news
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-late.C:
			c.trouble += "waited in vain for " + what + "\n"
			return
		}
	}
}

// step takes one step of a script: bytes to send, or "<await TEXT>", which is in the body or the fields of
// some stream.
func (c *h2client) step(s string) {
	if !strings.HasPrefix(s, "<await ") {
		io.WriteString(c.conn, s)
		return
	}
	text := strings.TrimSuffix(strings.TrimPrefix(s, "<await "), ">")
	c.await(text, func() bool {
		for _, s := range c.streams {
			if strings.Contains(string(s.body)+s.text.String(), text) {
				return true
			}
		}
		return false
	})
}

// all waits for the ends of n streams, or of the connection, and returns what was received.
func (c *h2client) all(n int) string {
	c.await("the ends of streams", func() bool {
		ended := 0
		for _, s := range c.streams {
			if s.ended {
				ended++
			}
		}
		return ended >= n
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []uint32
	for id := range c.streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var out strings.Builder
	for _, id := range ids {
		s := c.streams[id]
		fmt.Fprintf(&out, "stream %d ended %v\n%sbody %s\n", id, s.ended, s.text.String(), short(fmt.Sprintf("%q",
			s.body)))
	}
	return out.String() + c.goaway
}

func (c *h2client) end(app *book) {
	c.conn.Close()
	app.forget(c.notes)
}
