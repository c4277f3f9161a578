package forward

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// flushed is a ResponseWriter that keeps nothing, and counts flushes.
type flushed struct {
	sink
	times *atomic.Int64
}

func (f *flushed) Flush() { f.times.Add(1) }

// Streams through a front share one connection between the two nodes, and cost little memory at both ends:
// here without the client's own connection, which net/http keeps for a stream that is served without a hop
// as well. `go run . -mode streams` in benchmarks/ measures 10,000 of them with all there is, beside other
// proxies.
func TestForward_ManyStreams(t *testing.T) {
	const streams, most = 1000, 32 << 10
	f := newFakeFarm(t)
	var conns atomic.Int64
	f.Wire = func(_ string, c net.Conn) net.Conn {
		conns.Add(1)
		return c
	}
	front := f.add("front", Config{Role: "front"}, never(t))
	front.gate.Admit()
	f.add("a", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})).gate.Admit()
	front.sees("a")
	var events atomic.Int64
	stream := func(ctx context.Context) {
		r := httptest.NewRequestWithContext(ctx, "GET", "/events", nil)
		r.Header.Set("Accept", "text/event-stream")
		front.gate.serveClient(&flushed{sink{make(http.Header)}, &events}, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { stream(ctx) }) // what one needs, others share
	eventually(t, func() bool { return events.Load() == 1 })
	before := inUse()
	for range streams {
		all.Go(func() { stream(ctx) })
	}
	eventually(t, func() bool { return events.Load() == streams+1 })
	each := (inUse() - before) / streams
	t.Logf("%d streams: %d connections, %.1f KiB for each, both ends", streams, conns.Load(), float64(each)/1024)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections between the nodes", n)
	}
	if each > most && !race.Enabled {
		t.Errorf("%d bytes for each stream, and there may be %d", each, most)
	}
}

// inUse returns what this process has in memory, after a collection.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
