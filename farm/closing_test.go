package farm_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// caller sends one request after the other, to a node that stops.
type caller struct {
	addr string
	kept bool // the connection, for as long as the node keeps it
	conn net.Conn
	in   *bufio.Reader
}

// call sends a request, by a connection that is there or a new one. It reports whether the port is closed;
// an error is a request that was lost.
func (v *caller) call() (closed bool, err error) {
	if v.conn == nil {
		c, err := net.DialTimeout("tcp", v.addr, patience)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true, nil
		} else if err != nil {
			return false, err
		}
		v.conn, v.in = c, bufio.NewReader(c)
		c.SetDeadline(time.Now().Add(patience))
	}
	const request = "POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
	if _, err := io.WriteString(v.conn, request); err != nil {
		return false, fmt.Errorf("sent: %w", err)
	}
	res, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return false, fmt.Errorf("answered: %w", err)
	}
	io.Copy(io.Discard, res.Body)
	if res.Close || !v.kept {
		v.conn.Close()
		v.conn = nil
	}
	return false, nil
}

// A node that stops under load loses no request: neither of those who connect anew each time, until they are
// refused, nor of those who keep their connections. Elsewhere than on Linux a system resets what it has
// taken.
func TestServe_ClosesUnderLoad(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		ci.Missingf(t, "Linux, where a port is closed without resets")
	}
	s := serve(t, farm.Config{}, nil).ready()
	var wg sync.WaitGroup
	var asked, lost atomic.Int64
	for i := range 32 {
		wg.Go(func() {
			v := caller{addr: s.Addr(), kept: i%2 == 0}
			for {
				closed, err := v.call()
				switch {
				case err != nil:
					lost.Add(1)
					t.Log(err)
					return
				case closed:
					return
				}
				asked.Add(1)
				if v.kept {
					<-time.After(time.Duration(i) * time.Millisecond)
				}
			}
		})
	}
	eventually(t, func() bool { return asked.Load() > 300 })
	s.stop()
	within(t, "Serve", func() { <-s.err })
	wg.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d requests of %d were lost", n, asked.Load())
	}
}
