package lane

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Flush()                      {}

// typical returns a request as a browser sends it.
func typical(ctx context.Context) *http.Request {
	r, _ := http.NewRequestWithContext(ctx, "GET", "/list?a=1&b=2", nil)
	r.RequestURI, r.RemoteAddr, r.Host = "/list?a=1&b=2", "203.0.113.7:51234", "app.example.com"
	for name, v := range map[string]string{
		"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
			"Chrome/140.0 Safari/537.36",
		"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "en-GB,en;q=0.9",
		"Cookie":  "__Host-sid=0123456789abcdef0123456789abcdef; theme=dark",
		"Referer": "https://app.example.com/list", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin",
		"Sec-Fetch-Dest": "document", "X-Request-Id": "0190a1b2c3d47e5f8a9b0c1d2e",
		"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	} {
		r.Header.Set(name, v)
	}
	return r
}

// benchPair returns a Client whose peer answers 1 KiB.
func benchPair(b testing.TB) *Client {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &Server{Logger: slog.New(slog.DiscardHandler),
		Handle: func(w *Writer, _ *http.Request, _ *Facts) { kilobyte(w) }}
	go srv.Serve(l)
	c := NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}})
	b.Cleanup(func() {
		c.Close()
		l.Close()
		srv.Close()
	})
	return c
}

func (c *Client) once(b testing.TB, accept string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := typical(ctx)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	var both struct { // as the gate has them
		Attempt
		facts Facts
	}
	both.facts.ID = "id"
	both.Attempt.Facts, both.Upload = &both.facts, NewUpload(r)
	o := c.Do(&sink{make(http.Header)}, r, &both.Attempt)
	if o.Err != nil {
		b.Fatal(o.Err)
	}
}

// local answers a request here, as a peer would.
func local() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := typical(ctx)
	io.Discard.Write([]byte(r.Method))
	kilobyte(&sink{make(http.Header)})
}

// One exchange over loopback TCP without TLS, both ends. Local is what it costs without a hop: the request, and
// the handler's answer.
func BenchmarkExchange(b *testing.B) {
	b.Run("Local", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			local()
		}
	})
	for _, kind := range []struct{ name, accept string }{{"Lane", ""}, {"Stream", "text/event-stream"}} {
		b.Run(kind.name, func(b *testing.B) {
			c := benchPair(b)
			for range 100 {
				c.once(b, kind.accept)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.once(b, kind.accept)
			}
		})
	}
}

// A hop costs at most twenty allocations beyond what the request and its answer cost without one.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector has sync.Pool forget")
	}
	const most = 20
	c := benchPair(t)
	for range 100 {
		c.once(t, "")
	}
	here := ci.Allocs(2000, 0, local)
	there := ci.Allocs(2000, here+most, func() { c.once(t, "") })
	t.Logf("%.1f here, %.1f by a hop", here, there)
	if there-here > most {
		t.Errorf("a hop costs %.1f allocations, and there may be %d", there-here, most)
	}
}
