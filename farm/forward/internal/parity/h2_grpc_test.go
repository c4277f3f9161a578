package parity

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// message is one message of gRPC, whose payload is not compressed: a byte, the length in four, and the payload.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func message(payload string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))) + payload
}

// call is one call of gRPC, as its handler has it.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	see *run
}

// receive returns the next message, and io.EOF once the client has sent all.
func (c call) receive() (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r.Body, head[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(c.r.Body, b)
	return string(b), err
}

func (c call) send(payload string) {
	c.see.wrote(io.WriteString(c.w, message(payload)))
	c.see.flush(c.w)
}

// rpc is a handler that answers as servers of gRPC do: the header at once, messages as they come, and the status as a
// trailer, one field announced and one not.
func rpc(do func(c call) (status int)) handler {
	return func(w http.ResponseWriter, r *http.Request, see *run) {
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		h.Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		see.flush(w)
		h.Set("Grpc-Status", fmt.Sprint(do(call{w, r, see})))
		h.Set(http.TrailerPrefix+"Grpc-Message", "as the handler says")
	}
}

// echoes answers each message of the client's by one.
func echoes(c call) int {
	for {
		m, err := c.receive()
		if err != nil {
			c.see.note("received all: %s", failure(err))
			return 0
		}
		c.see.note("message %q", m)
		c.send("echo of " + m)
	}
}

// begin is the header of a call.
func begin(method string) string {
	return h2req(1, false, "POST", "/shop.Orders/"+method, "content-type", "application/grpc", "te", "trailers",
		"grpc-timeout", "60S", "user-agent", "grpc-test/1")
}

// pieces are the frames of text, which is longer than one may be.
func pieces(text string) string {
	var all strings.Builder
	for ; len(text) > maxFrame; text = text[maxFrame:] {
		all.WriteString(data(1, false, text[:maxFrame]))
	}
	return all.String() + data(1, false, text)
}

// numbered are n messages, each in a frame of its own.
func numbered(n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(data(1, false, message(fmt.Sprint("number ", i))))
	}
	return all.String()
}

// grpcScripts are calls of gRPC of all four kinds, which stream both ways.
var grpcScripts = []h2script{
	{name: "gRPC unary", do: rpc(echoes), sees: "grpc-status: 0",
		send: []string{begin("Unary"), data(1, true, message("order"))}},
	{name: "gRPC, header before any message", do: rpc(echoes), sees: "echo of order",
		send: []string{begin("Late"), "<await :status: 200>", data(1, false, message("order")), "<await echo of order>",
			data(1, true, "")}},
	{name: "gRPC, client streams", sees: "100 messages", do: rpc(func(c call) int {
		n := 0
		for ; ; n++ {
			if _, err := c.receive(); err != nil {
				break
			}
		}
		c.send(fmt.Sprint(n, " messages"))
		return 0
	}), send: []string{begin("Upload"), numbered(100), data(1, true, "")}},
	{name: "gRPC, server streams", sees: "item 99", do: rpc(func(c call) int {
		m, err := c.receive()
		c.see.note("asked for %q %s", m, failure(err))
		for i := range 100 {
			c.send(fmt.Sprint("item ", i))
		}
		return 0
	}), send: []string{begin("List"), data(1, true, message("all"))}},
	{name: "gRPC, both ways by turns", do: rpc(echoes), sees: "echo of three",
		send: []string{begin("Chat"), data(1, false, message("one")), "<await echo of one>",
			data(1, false, message("two")), "<await echo of two>", data(1, true, message("three"))}},
	{name: "gRPC, both ways at once", do: rpc(echoes), sees: "echo of number 199",
		send: []string{begin("Chat"), numbered(100), "<await echo of number 7>", strings.ReplaceAll(numbered(200),
			"number 0", "number x"), data(1, true, "")}},
	{name: "gRPC, long messages", do: rpc(func(c call) int {
		for {
			m, err := c.receive()
			if err != nil {
				return 0
			}
			c.send(fmt.Sprint(len(m), " bytes ", m[:200_000]))
		}
	}), sees: "grpc-status: 0",
		send: []string{begin("Blobs"), pieces(message(strings.Repeat("a", 300_000))), "<await 300000 bytes>",
			pieces(message(strings.Repeat("b", 300_001))), "<await 300001 bytes>", data(1, true, "")}},
	{name: "gRPC, message in many frames", do: rpc(echoes), sees: "echo of split",
		send: []string{begin("Split"), data(1, false, message("split")[:3]), data(1, false, message("split")[3:7]),
			data(1, true, message("split")[7:])}},
	{name: "gRPC, server ends first", sees: "grpc-status: 9", do: rpc(func(c call) int {
		m, err := c.receive()
		c.see.note("refuses %q %s", m, failure(err))
		return 9
	}), send: []string{begin("Refused"), data(1, false, message("order")), "<await grpc-status>"}},
	{name: "gRPC, error after some answers", sees: "grpc-status: 13", do: rpc(func(c call) int {
		m, _ := c.receive()
		c.send("echo of " + m)
		m, _ = c.receive()
		c.see.note("fails at %q", m)
		return 13
	}), send: []string{begin("Fails"), data(1, false, message("one")), "<await echo of one>", data(1, true, message("two"))}},
	{name: "gRPC, client cancels", n: -1, sees: "context canceled", do: rpc(func(c call) int {
		m, err := c.receive()
		c.see.note("message %q %s", m, failure(err))
		c.send("echo of " + m)
		_, err = c.receive()
		c.see.note("then %s", failure(err))
		c.see.ends(c.r)
		panic(http.ErrAbortHandler)
	}), send: []string{begin("Cancelled"), data(1, false, message("one")), "<await echo of one>", reset(1, 8)}},
	{name: "gRPC, trailers only", sees: "grpc-status: 12",
		do: func(w http.ResponseWriter, r *http.Request, _ *run) {
			io.Copy(io.Discard, r.Body) // else what comes of it before the end, and after, differs from run to run
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "12")
		}, send: []string{begin("Unknown"), data(1, true, message("order"))}},
}
