package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// late sends the head of a request, and its body of four bytes once ready says so. It returns the answer.
func late(t *testing.T, addr, method, path, end string, ready func() bool) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: h\r\nEnd: %s\r\nContent-Length: 4\r\n\r\n", method, path, end)
	eventually(t, ready)
	io.WriteString(conn, "body")
	res, err := answerTo(bufio.NewReader(conn))
	if err != nil {
		return err.Error()
	}
	got, err := textOf(res)
	if err != nil {
		return err.Error()
	}
	return got
}

// A short body that comes later than its request, because the client's network or its machine is slow, takes
// nothing from the request: it is done again as any other, and not after a change.
func TestRetry_BodyComesLate(t *testing.T) {
	m := newMatrix(t)
	i := 0
	for _, method := range []string{"GET /plain", "PUT /plain", "PUT /idempotent"} {
		for end, want := range map[string]string{
			"lost before the body": "200 4",
			"lost behind the body": "200 4",
			"lost after a hint":    "200 4",
			"panic":                "200 4",
			"lost after a write":   "502 ",
		} {
			runs := 2
			switch {
			case method == "PUT /plain" && end == "panic":
				want, runs = "unexpected EOF", 1
			case method == "PUT /plain", end == "lost after a write":
				want, runs = "502 ", 1
			}
			i++
			m.fresh([]string{"a", "b", "c"}[i%3])
			method, path, _ := strings.Cut(fmt.Sprintf("%s/late-%d", method, i), " ")
			got := late(t, m.front.public.Listener.Addr().String(), method, path, end, func() bool {
				return len(m.runs.of(path)) > 0
			})
			m.busy.Wait()
			if n := len(m.runs.of(path)); n != runs || !strings.HasPrefix(got, want) {
				t.Errorf("%s %s, %s: %.40q after %d runs, want %q after %d", method, path, end, got, n, want, runs)
			}
		}
	}
}
