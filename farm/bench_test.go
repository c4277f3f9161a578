package farm_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// BenchmarkSessionReadOverBare is what a read of a session costs beyond the handler, with the log and the key ring of a real
// node: the median of many short runs of both by turns.
func BenchmarkSessionReadOverBare(b *testing.B) {
	node, err := cluster.Open(b.Context(), cluster.Config{Listen: "127.0.0.1:0", Machines: map[string]func() cluster.StateMachine{
		"session": func() cluster.StateMachine { return session.NewMachine() },
		"keyring": func() cluster.StateMachine { return keyring.NewMachine() },
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer node.Close()
	ring := node.Handle("keyring")
	keys := keyring.New(ring, func() *keyring.Machine { return ring.Local().(*keyring.Machine) })
	if err := keys.Ensure(b.Context(), session.KeyPurpose); err != nil {
		b.Fatal(err)
	}
	m, err := session.New(sessionStore(node), session.Config{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	count := session.NewKey[int]("count")
	r, err := http.NewRequest("GET", "/", nil)
	if err != nil {
		b.Fatal(err)
	}
	r = sessiontest.Request(b, m, r, func(ctx context.Context) error { return count.Set(ctx, 70000) })
	w := &nowhere{http.Header{}}
	timed := func(h http.Handler) float64 {
		const run = 50
		start := time.Now()
		for range run {
			clear(w.h)
			h.ServeHTTP(w, r)
		}
		return float64(time.Since(start)) / run
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(nil) })
	read := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := count.Get(r.Context()); n != 70000 {
			b.Fatal(n)
		}
		w.Write(nil)
	}))
	var over []float64
	for b.Loop() {
		over = append(over, timed(read)-timed(bare))
	}
	slices.Sort(over)
	b.ReportMetric(over[len(over)/2], "ns/read")
	b.ReportMetric(0, "ns/op") // of both together: it means nothing
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ h http.Header }

func (w *nowhere) Header() http.Header         { return w.h }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}
