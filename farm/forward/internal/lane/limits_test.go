package lane

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// A deadline that another goroutine sets acts on a Write that waits for a client that does not read, on a lane
// and on the trunk: the client's connection ends, and the handler's Write with it.
func TestDeadline_WhileWriting(t *testing.T) {
	for _, accept := range []string{"*/*", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			ended := make(chan error, 1)
			r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/" {
					return
				}
				var written atomic.Int64
				stuck := make(chan struct{})
				go func() { // which waits until nothing is written any more
					defer close(stuck)
					tick := time.NewTicker(100 * time.Millisecond)
					defer tick.Stop()
					for before, still := int64(0), 0; still < 3; {
						<-tick.C
						if n := written.Load(); n != before || n == 0 {
							before, still = n, 0
						} else {
							still++
						}
					}
					http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
				}()
				b := make([]byte, 64<<10)
				for {
					n, err := w.Write(b)
					if written.Add(int64(n)); err != nil {
						<-stuck
						ended <- err
						return
					}
				}
			}))
			r.warm()
			conn, err := net.Dial("tcp", r.public.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET /flood HTTP/1.1\r\nHost: h\r\nAccept: "+accept+"\r\n\r\n")
			select {
			case <-ended:
			case <-time.After(time.Minute):
				ci.Latef(t, "the Write still waits")
			}
			if o := <-r.ended; !o.GaveUp || !errors.Is(o.Err, os.ErrDeadlineExceeded) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// bounds is a ResponseWriter that notes the deadlines that are set.
type bounds struct {
	http.ResponseWriter
	reads, writes []time.Time
}

func (b *bounds) SetReadDeadline(at time.Time) error  { b.reads = append(b.reads, at); return nil }
func (b *bounds) SetWriteDeadline(at time.Time) error { b.writes = append(b.writes, at); return nil }

// Of deadlines that overtake each other the one stays that was set last; none acts on another exchange or on one
// that is over.
func TestLimits_Order(t *testing.T) {
	w := &bounds{ResponseWriter: httptest.NewRecorder()}
	x := &call{w: w, seq: 7}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	ls := &x.limits
	ls.begin(x)
	ls.set(limit{'w', at(1), 1})
	ls.setNow(limit{'w', at(4), 4}, 7)
	ls.set(limit{'w', at(2), 2})
	ls.set(limit{'r', at(3), 3})
	ls.setNow(limit{'w', at(9), 9}, 8)
	ls.set(limit{'w', time.Time{}, 5})
	ls.end(x)
	ls.setNow(limit{'w', at(9), 9}, 7)
	if len(w.writes) != 3 || w.writes[0] != at(1) || w.writes[1] != at(4) || !w.writes[2].IsZero() {
		t.Errorf("of writes: %v", w.writes)
	}
	if len(w.reads) != 1 || w.reads[0] != at(3) {
		t.Errorf("of reads: %v", w.reads)
	}
}
