package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// unbuffered is how much of a body may be on its way through two nodes: what the system keeps for four ends of
// connections, and little more.
const unbuffered = 24 << 20

// counted counts what passes.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// standsStill waits until nothing passes any more, and returns how much has.
func (c *counted) standsStill() int64 {
	for last := int64(-1); ; time.Sleep(20 * time.Millisecond) {
		n := c.n.Load()
		if n > 0 && n == last {
			return n
		}
		last = n
	}
}

// blank are so many bytes.
func blank(n int64) *counted { return &counted{Reader: io.LimitReader(zeros{}, n)} }

// Bodies of any size pass through two nodes, both ways, and nobody keeps them: while the one end takes nothing, the
// other one can give no more. 64 MiB, and 1 GiB by make torture.
func TestForward_Unbuffered(t *testing.T) {
	size := int64(64 << 20)
	if ci.Torture() {
		size = 1 << 30
	}
	answer, goOn := blank(size), make(chan struct{})
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			io.Copy(w, answer)
			return
		}
		io.ReadFull(r.Body, make([]byte, 1))
		<-goOn
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n+1, err)
	}))

	upload := blank(size)
	got := make(chan string, 1)
	go func() {
		req := request(t, "POST", a.public.URL, upload)
		req.ContentLength = size
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		got <- fmt.Sprint(string(b), err)
	}()
	if n := upload.standsStill(); n > unbuffered {
		t.Errorf("%d bytes of an upload were taken that nobody reads", n)
	}
	close(goOn)
	if got, want := <-got, fmt.Sprint(size, " <nil><nil>"); got != want {
		t.Errorf("the upload: %s, want %s", got, want)
	}

	conn, err := net.Dial("tcp", a.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if n := answer.standsStill(); n > unbuffered {
		t.Errorf("%d bytes of an answer were written that nobody reads", n)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("the answer: %d bytes, %v", n, err)
	}
}
