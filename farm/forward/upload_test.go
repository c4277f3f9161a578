package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

const tooLongText = "413 at most 1000 bytes, please"

// tooLong answers an upload that is too long as most applications do: once it has read a little, and no more.
func tooLong(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1000)); err != nil {
		http.Error(w, "at most 1000 bytes, please", http.StatusRequestEntityTooLarge)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func textOf(res *http.Response) (string, error) {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(b))), err
}

// answerTo returns the first final answer on a connection.
func answerTo(in *bufio.Reader) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode >= 200 {
			return res, err
		}
	}
}

// writesAll is a client that reads nothing before it has written everything, or cannot any more.
func writesAll(addr, field string, size int64) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n", field, size)
	io.CopyN(conn, zeros{}, size)
	res, err := answerTo(bufio.NewReader(conn))
	if err != nil {
		return "", err
	}
	return textOf(res)
}

// readsToo is Go's own client. It reads while it writes, and takes an error of writing for the end.
func readsToo(addr, field string, size int64) (string, error) {
	req, err := http.NewRequest("POST", "http://"+addr, io.LimitReader(zeros{}, size))
	if err != nil {
		return "", err
	}
	req.ContentLength = size
	if name, value, ok := strings.Cut(strings.TrimSpace(field), ": "); ok {
		req.Header.Set(name, value)
	}
	tr := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	return textOf(res)
}

// Who uploads too much is told so, as where the request is not forwarded: however long the upload is, and
// though no node reads it to its end. The server's patience with a client that does not read is half a
// second, for which this takes its time.
func TestForward_UploadTooLong(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(tooLong))
	addr := a.public.Listener.Addr().String()
	for _, c := range []struct {
		name   string
		client func(addr, field string, size int64) (string, error)
		size   int64
		times  int
	}{
		{"writes all", writesAll, 3 << 20, 8},
		{"reads too", readsToo, 3 << 20, 8},
		{"writes all", writesAll, 30 << 20, 1},
		{"reads too", readsToo, 30 << 20, 8},
	} {
		for _, field := range []string{"", "Expect: 100-continue\r\n", "Connection: close\r\n"} {
			for range c.times {
				start := time.Now()
				got, err := c.client(addr, field, c.size)
				if err != nil && time.Since(start) > 400*time.Millisecond && c.times > 1 {
					continue // the machine was so busy that the server's patience was over
				}
				if err != nil || got != tooLongText {
					t.Errorf("%s, %q, %d MiB: %q, %v", c.name, field, c.size>>20, got, err)
				}
			}
		}
	}
}

// A peer of an older program closes its end as soon as it has answered, though the body is still on its way.
// The answer counts, and not that the rest of the body could not be written.
func TestForward_PeerClosesBehindItsAnswer(t *testing.T) {
	farm := newFakeFarm(t)
	a := farm.add("a", Config{}, never(t))
	old := farm.Join("b", cluster.Ordinary, map[string]string{TagApp: "", TagGate: open.String()})
	l := old.Listener(ProtoText)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			in := bufio.NewReader(conn)
			if _, err := http.ReadRequest(in); err != nil {
				conn.Close()
				continue
			}
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			io.CopyN(io.Discard, in, 1000)
			io.WriteString(conn, "HTTP/1.1 413 Too Long\r\n"+
				"Connection: close\r\nContent-Length: 26\r\n\r\nat most 1000 bytes, please")
			conn.Close()
		}
	}()
	a.sees("b")
	for range 30 {
		if got, err := writesAll(a.public.Listener.Addr().String(), "", 3<<20); err != nil || got != tooLongText {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// left sends a part of a body, reads the answer, and returns it with what the connection ends with.
func left(t *testing.T, addr, head string) (answer string, end error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(conn)
	io.WriteString(conn, head)
	io.CopyN(conn, zeros{}, 1<<20)
	res, err := answerTo(in)
	if err != nil {
		return "", err
	}
	if answer, err = textOf(res); err != nil {
		return answer, err
	}
	_, end = in.ReadByte()
	return answer, end
}

// The connection of an upload that was left ends with its answer, and is not reset: neither between peers nor
// towards the client.
func TestForward_LeftUploadIsNotReset(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"413 ": func(w http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 10)); w.WriteHeader(413) },
		"200 ok": func(w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 10))
			io.WriteString(w, "ok")
		},
		"200 flushed": func(w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 10))
			w.(http.Flusher).Flush()
			io.WriteString(w, "flushed")
		},
		"200 ": func(w http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 10)) },
	}
	for want, h := range answers {
		a, b := pair(t, h)
		const hop = `Webfarm-Hop: {"nonce":"n","origin":"a","id":"i","client":"1.2.3.4:5"}` + "\r\n"
		for where, addr := range map[string]string{
			"between peers": b.Listener(ProtoText).Addr().String(),
			"to the client": a.public.Listener.Addr().String(),
		} {
			for _, field := range []string{"", "Expect: 100-continue\r\n", "Connection: close\r\n"} {
				if where == "between peers" {
					field += hop
				}
				got, end := left(t, addr, "POST / HTTP/1.1\r\nHost: h\r\n"+field+"Content-Length: 4000000\r\n\r\n")
				if got != want || !errors.Is(end, io.EOF) {
					t.Errorf("%s, %q: %q and then %v; want %q and the end", where, field, got, end, want)
				}
			}
		}
	}
}

// So does that of an upload that nobody has begun to read, also where the client ends the connection: whoever
// has answered, a handler elsewhere or this node itself.
func TestForward_UntouchedUploadIsNotReset(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	m := newMatrix(t)
	m.fresh("a")
	f := newFakeFarm(t)
	alone, staging := f.add("alone", Config{}, never(t)), f.add("staging", Config{Role: "staging"}, never(t))
	n := 0
	for _, c := range []struct {
		at           *fakeNode
		field, wants string
	}{
		{a, "", "200 "},
		{m.front, "End: lost before the body\r\n", "502 "},
		{alone, "", "503 "},
		{staging, "", "503 "},
	} {
		for _, field := range []string{"", "Expect: 100-continue\r\n", "Connection: close\r\n"} {
			addr := c.at.public.Listener.Addr().String()
			n++
			got, end := left(t, addr, fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\n%s%sContent-Length: 4000000\r\n\r\n",
				n, c.field, field))
			if !strings.HasPrefix(got, c.wants) || !errors.Is(end, io.EOF) {
				t.Errorf("%q, %q: %q and then %v; want %q and the end", c.field, field, got, end, c.wants)
			}
		}
	}
}
