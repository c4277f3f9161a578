package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"sync"
	"time"
)

// askFor is the request that is sent again and again: what a browser sends, more or less.
const askFor = "GET /1k HTTP/1.1\r\nHost: bench.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-GB,en;q=0.5\r\n" +
	"Accept-Encoding: identity\r\nReferer: http://bench.example/\r\nCookie: theme=dark; seen=3f7a9c\r\n" +
	"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n" +
	"DNT: 1\r\nPriority: u=0, i\r\n\r\n"

const askForEvents = "GET /events HTTP/1.1\r\nHost: bench.example\r\nAccept: text/event-stream\r\n\r\n"

// asking is what clients send again and again, and where to.
type asking struct {
	addr string
	text string // "" = askFor, which is answered with answerSize bytes
	any  bool   // an answer of any length will do, in one piece or in chunks
}

// requester is one client's connection, which it makes anew where it is closed. It costs little, so that
// there is time for those who are measured.
type requester struct {
	asking
	conn net.Conn // nil = none
	in   *bufio.Reader
}

// get sends one request and reads the answer.
func (r *requester) get() error {
	if r.conn == nil {
		if err := r.dial(); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(r.conn, cmp.Or(r.text, askFor)); err != nil {
		r.close()
		return err
	}
	last, err := r.answer()
	if last || err != nil {
		r.close()
	}
	return err
}

func (r *requester) dial() (err error) {
	if r.conn, err = net.DialTimeout("tcp", r.addr, answerPatience); err != nil {
		return err
	}
	r.in = bufio.NewReader(r.conn)
	return nil
}

func (r *requester) close() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

const (
	answerPatience = 10 * time.Second
	answerSize     = 1024
)

// answer reads an answer, which has to be the whole one; last says that no other comes on this connection.
func (r *requester) answer() (last bool, err error) {
	r.conn.SetReadDeadline(time.Now().Add(answerPatience))
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return true, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return true, fmt.Errorf("%s", bytes.TrimSpace(line))
	}
	length := -1
	for {
		if line, err = r.in.ReadSlice('\n'); err != nil {
			return true, err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if len(name) == 0 {
			break
		}
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, _ = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			length = chunked
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		}
	}
	switch {
	case r.any && length == chunked:
		_, err = io.Copy(io.Discard, httputil.NewChunkedReader(r.in))
		if err == nil {
			_, err = r.in.ReadSlice('\n') // what follows the last chunk: there are no trailers
		}
		return last, err
	case length < 0 || !r.any && length != answerSize:
		return true, fmt.Errorf("an answer of %d bytes", length)
	}
	_, err = r.in.Discard(length)
	return last, err
}

const chunked = -2 // in place of a length

// exchanged is what the clients of one turn have seen.
type exchanged struct {
	latency histogram // of what began after the warm-up
	all     int64     // answers, those of the warm-up included
	failed  int64
	why     string
}

// exchange lets clients send requests, one after the other on each connection: as fast as they are
// answered, or, if rate is not 0, so many each second in all. Then a latency is counted from when the request
// was due, so that who is late is not spared what would have come meanwhile.
func exchange(ctx context.Context, what asking, clients, rate int, warm, measured time.Duration) exchanged {
	begin := time.Now()
	results := make([]exchanged, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			r := &requester{asking: what}
			defer r.close()
			for n := 0; ctx.Err() == nil; n++ {
				due := time.Now()
				if rate > 0 {
					due = begin.Add(time.Duration(n*clients+i) * time.Second / time.Duration(rate))
					time.Sleep(time.Until(due))
				}
				if due.Sub(begin) >= warm+measured {
					return
				}
				results[i].add(r.get(), due, begin.Add(warm))
			}
		})
	}
	wg.Wait()
	var sum exchanged
	for _, r := range results {
		sum.latency.merge(r.latency)
		sum.all += r.all
		if sum.failed += r.failed; r.why != "" {
			sum.why = r.why
		}
	}
	return sum
}

func (e *exchanged) add(err error, due, from time.Time) {
	switch {
	case err != nil:
		e.failed++
		e.why = err.Error()
		time.Sleep(time.Millisecond) // do not spin
	default:
		e.all++
		if !due.Before(from) {
			e.latency.add(time.Since(due))
		}
	}
}

// stream is an idle stream of server-sent events.
type stream struct{ conn net.Conn }

// openStream returns when the first event has come.
func openStream(addr string) (stream, error) {
	c, err := net.DialTimeout("tcp", addr, streamPatience)
	if err != nil {
		return stream{}, err
	}
	c.SetDeadline(time.Now().Add(streamPatience))
	if _, err = io.WriteString(c, askForEvents); err == nil {
		err = awaitEvent(c)
	}
	if err != nil {
		c.Close()
		return stream{}, err
	}
	c.SetDeadline(time.Time{})
	return stream{c}, nil
}

const streamPatience = time.Minute

func awaitEvent(c net.Conn) error {
	buf := make([]byte, 0, 4096)
	for !bytes.Contains(buf, []byte("data: ")) {
		if len(buf) == cap(buf) {
			return errors.New("no event in 4 KiB")
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		if buf = buf[:len(buf)+n]; err != nil {
			return fmt.Errorf("no event: %w", err)
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200"[:min(len(buf), 12)])) {
			return fmt.Errorf("%.60q", buf)
		}
	}
	return nil
}
