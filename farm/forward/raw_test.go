package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// raw sends bytes and returns the answer as text: status, sorted header, body, trailer. If the answer does
// not say that it is the connection's last one, another request must be answered too.
func raw(t *testing.T, addr, send string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(conn, send) // all of it may not be wanted
	method, _, _ := strings.Cut(send, " ")
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, &http.Request{Method: method})
	if err != nil {
		return "error: " + err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	lines := []string{}
	for name, v := range res.Header {
		if name != "Date" && name != "X-Request-Id" {
			lines = append(lines, fmt.Sprintf("%s: %q", name, v))
		}
	}
	slices.Sort(lines)
	if !res.Close {
		io.WriteString(conn, "GET /204 HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Errorf("%.200q: the connection was to be kept, and the next request got %v", send, err)
		}
	}
	return fmt.Sprintf("%s len %d te %q close %v body %q %v trailer %v\n%s", res.Status, res.ContentLength,
		res.TransferEncoding, res.Close, b, err, res.Trailer, strings.Join(lines, "\n"))
}
