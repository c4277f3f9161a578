package lane

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

func TestTunnel(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		for {
			line, err := brw.ReadString('\n')
			if err != nil {
				io.WriteString(conn, "bye "+err.Error())
				return
			}
			io.WriteString(conn, line)
		}
	}))
	for range 2 {
		c, err := net.Dial("tcp", r.public.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly\n")
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatal(res, err)
		}
		io.WriteString(c, "later\n")
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(br); string(b) != "early\nlater\nbye EOF" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		c.Close()
		if o := <-r.ended; o.Err != nil || o.State != attempt.Committed {
			t.Errorf("%+v", o)
		}
	}
}

// A handler that takes over the connection of a request whose short body comes late finds that body there,
// before what follows.
func TestTunnel_LateShortBody(t *testing.T) {
	for _, upgrade := range []string{"", "Connection: Upgrade\r\nUpgrade: echo\r\n"} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, brw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			line, err := brw.ReadString('\n')
			fmt.Fprint(conn, line, err)
		}))
		c, err := net.Dial("tcp", r.public.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\n"+upgrade+"Content-Length: 4\r\n\r\nbo")
		time.Sleep(5 * shortWait)
		io.WriteString(c, "dybye\n")
		if b, err := io.ReadAll(c); string(b) != "bodybye\n<nil>" || err != nil {
			t.Errorf("%q: %q, %v", upgrade, b, err)
		}
		c.Close()
		<-r.ended
	}
}
