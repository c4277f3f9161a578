package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	web "github.com/seed48eb2e21/webfarm/farm"
)

// streamRoutes are what a node has for clients that stay.
func streamRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		events, err := web.Events(w, r)
		if err != nil {
			web.Error(w, r, err)
			return
		}
		defer events.Close()
		events.Send(web.Event{Data: "by " + web.Info(r.Context()).Node})
		<-events.Context().Done()
	})
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		name := web.Info(r.Context()).Node
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			web.Error(w, r, err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81%c%s",
			len("by ")+len(name), "by "+name)
		io.ReadFull(rw, make([]byte, len(goodbye))) // the client says nothing else
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes, %v, by %s", n, err, web.Info(r.Context()).Node)
	})
}

// goodbye is a client's close frame: "going away", with a mask that changes nothing.
var goodbye = []byte{0x88, 0x82, 0, 0, 0, 0, 1001 >> 8, 1001 & 0xff}

// staying is a client that stays: with an event stream, or with a WebSocket.
type staying struct {
	socket bool
	conn   net.Conn
	in     *bufio.Reader
	events *bufio.Reader // the body of an event stream
}

// stay connects to a node, and waits until that has said its first word, which must be its name.
func (n *node) stay(socket bool) (*staying, error) {
	conn, err := net.DialTimeout("tcp", n.addr(), patience)
	if err != nil {
		return nil, err
	}
	s := &staying{socket: socket, conn: conn, in: bufio.NewReaderSize(conn, 1024)}
	conn.SetDeadline(time.Now().Add(patience))
	if err := s.begin("by " + n.name); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	return s, conn.SetDeadline(time.Time{})
}

func (s *staying) begin(word string) error {
	path, fields, want := "/events", "Accept: text/event-stream\r\n", http.StatusOK
	if s.socket {
		path, want = "/socket", http.StatusSwitchingProtocols
		fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: farm\r\n%s\r\n", path, fields)
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("%s: %s", res.Status, b)
	}
	if s.socket {
		word = fmt.Sprintf("\x81%c%s", len(word), word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(s.in, got); err != nil || string(got) != word {
			return fmt.Errorf("%q came, not %q: %v", got, word, err)
		}
		return nil
	}
	s.events = bufio.NewReaderSize(res.Body, 512)
	for {
		line, err := s.events.ReadString('\n')
		if err != nil {
			return err
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if data != word+"\n" {
				return fmt.Errorf("%q came, not %q", data, word)
			}
			return nil
		}
	}
}

// ends waits until the node ends the stream, and reports if it does so in another way than it should: with the whole of
// its answer, or with a close frame that says "going away", which the client answers.
func (s *staying) ends() error {
	defer s.conn.Close()
	if !s.socket {
		_, err := io.Copy(io.Discard, s.events)
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return err
	}
	if head[0] != goodbye[0] || !bytes.Equal(head[2:], goodbye[6:]) {
		return fmt.Errorf("% x came, and no close frame with 1001", head)
	}
	if _, err := io.CopyN(io.Discard, s.in, int64(head[1])-2); err != nil {
		return err
	}
	if _, err := s.conn.Write(goodbye); err != nil {
		return err
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the close frames: %v", err)
	}
	return nil
}
