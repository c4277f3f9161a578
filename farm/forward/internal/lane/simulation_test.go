package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

const (
	hither = "10.0.0.1" // the dialler
	yonder = "10.0.0.2" // the acceptor
)

// TestSimulation has clients send requests of all kinds in fake time, over lanes and over the trunk, while
// the network between the two nodes breaks in all ways and the acceptor dies and comes back. What an outcome
// says is held to what has happened: a request that was not started has not run, and will not; none has run
// twice; an answer is whole or an error, and nobody else's; in the end nothing is left. `make sim SEED=7
// MINUTES=30 PKG=./farm/forward/internal/lane` runs one seed for as long; which goroutine runs first remains
// chance.
func TestSimulation(t *testing.T) {
	seeds, minutes := []uint64{1, 2, 3, 4}, 5
	if race.Enabled {
		seeds = seeds[:1]
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("WEBFARM_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if env := os.Getenv("WEBFARM_MINUTES"); env != "" {
		if minutes, err = strconv.Atoi(env); err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{cmp.Or(seed, rand.Uint64())}
	} else if seed != 0 {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { simulate(t, seed, time.Duration(minutes)*time.Minute) })
		})
	}
}

// world is the two nodes and the network between them.
type world struct {
	t      *testing.T
	net    *memnet.Network
	client *Client
	book   *ledger

	mu     sync.Mutex
	server *Server               // guarded by mu
	undone []string              // requests that were not started, says their outcome; guarded by mu
	tally  map[attempt.State]int // how many ended so; guarded by mu
}

func simulate(t *testing.T, seed uint64, length time.Duration) {
	w := &world{t: t, net: memnet.New(), book: &ledger{runs: make(map[string]int)},
		tally: make(map[attempt.State]int)}
	w.start()
	w.client = NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		return w.net.Host(hither).Dial(ctx, yonder+":1")
	}})
	var clients, faults sync.WaitGroup
	end := time.Now().Add(length)
	for i := range 6 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		clients.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				w.request(rnd, fmt.Sprintf("/%d-%d/", i, n))
				time.Sleep(rand.N(400 * time.Millisecond))
			}
		})
	}
	faults.Go(func() { w.trouble(rand.New(rand.NewPCG(seed, 99)), end) })
	faults.Wait()
	clients.Wait()
	w.net.Heal()
	time.Sleep(time.Minute) // whatever is on its way arrives
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.undone {
		if n := w.book.of(id); n != 0 {
			t.Errorf("%s has run, and its outcome says that it was not started", id)
		}
	}
	for _, s := range []attempt.State{attempt.NotSent, attempt.Sent, attempt.Refused, attempt.Started,
		attempt.Committed} {
		if w.tally[s] == 0 {
			t.Errorf("no request ended as %v: the simulation is no good", s)
		}
	}
	w.client.mu.Lock()
	lanes, idle := len(w.client.lanes), len(w.client.idle)
	w.client.mu.Unlock()
	if lanes != idle || w.client.running.Load() != 0 {
		t.Errorf("of %d lanes %d are idle, and %d requests run", lanes, idle, w.client.running.Load())
	}
	w.client.Close()
	w.net.Down(yonder) // its listener
	w.server.Close()
}

// start has the acceptor live.
func (w *world) start() {
	l, err := w.net.Host(yonder).Listen(yonder + ":1")
	if err != nil {
		w.t.Fatal(err)
	}
	s := &Server{Logger: slog.New(slog.DiscardHandler), PeerID: func(net.Conn) string { return hither }}
	s.Handle = w.handle
	go s.Serve(l)
	w.mu.Lock()
	w.server = s
	w.mu.Unlock()
}

// trouble breaks something from time to time, and mends it.
func (w *world) trouble(rnd *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(time.Duration(rnd.Int64N(int64(15 * time.Second))))
		from, to := hither, yonder
		if rnd.IntN(2) == 0 {
			from, to = to, from
		}
		for range 1 + rnd.IntN(2) {
			switch rnd.IntN(6) {
			case 0:
				w.net.Cut(from, to)
			case 1:
				w.net.Delay(from, to, time.Duration(rnd.Int64N(int64(2*time.Second))))
			case 2:
				w.net.Stall(from, to, 0.3, 2*time.Second)
			case 3:
				w.net.Forget(from, to)
			default:
				w.restart(rnd)
			}
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(15 * time.Second))))
		w.net.Heal()
		w.net.Delay(from, to, 0)
		w.net.Stall(from, to, 0, 0)
	}
}

// restart has the acceptor die, and come back.
func (w *world) restart(rnd *rand.Rand) {
	w.net.Down(yonder)
	w.mu.Lock()
	s := w.server
	w.mu.Unlock()
	s.Close()
	time.Sleep(time.Duration(rnd.Int64N(int64(5 * time.Second))))
	w.net.Up(yonder)
	w.start()
}

// handle answers what a request's Kind says, by its body or else its path.
func (w *world) handle(rw *Writer, r *http.Request, _ *Facts) {
	if r.Header.Get("Kind") == "refused" {
		rw.Refuse(Refusal{Reason: "not today"})
		return
	}
	w.book.start(r.URL.Path)
	switch r.Header.Get("Kind") {
	case "flush":
		for range 10 {
			io.WriteString(rw, r.URL.Path)
			http.NewResponseController(rw).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	case "slow":
		select {
		case <-time.After(3 * time.Second):
		case <-r.Context().Done():
		}
		io.WriteString(rw, r.URL.Path)
	case "stubborn":
		time.Sleep(5 * time.Second)
		io.WriteString(rw, r.URL.Path)
	case "panic":
		panic(http.ErrAbortHandler)
	default:
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		rw.Write(b)
	}
}

// request sends one request and judges its outcome.
func (w *world) request(rnd *rand.Rand, id string) {
	kinds := []string{"echo", "echo", "echo", "flush", "slow", "stubborn", "panic", "refused"}
	kind, size := kinds[rnd.IntN(len(kinds))], []int{1, 1000, chunk, 20 << 10}[rnd.IntN(4)]
	body := strings.Repeat(id, size/len(id)+1)
	ctx, cancel := context.WithCancelCause(w.t.Context())
	defer cancel(nil)
	after := time.Duration(rnd.Int64N(int64(4 * time.Second)))
	switch rnd.IntN(4) {
	case 0:
		defer time.AfterFunc(after, func() { cancel(errors.New("the node stops")) }).Stop()
	case 1:
		defer time.AfterFunc(after, func() { cancel(context.Canceled) }).Stop()
	case 2:
		limited, stop := context.WithTimeout(ctx, after)
		defer stop()
		ctx = limited
	}
	r := httptest.NewRequestWithContext(ctx, "POST", id, strings.NewReader(body))
	r.Header.Set("Kind", kind)
	if rnd.IntN(3) == 0 {
		r.Header.Set("Accept", "text/event-stream")
	}
	rec := httptest.NewRecorder()
	out := w.client.Do(rec, r, &Attempt{Facts: &Facts{ID: id}, Upload: NewUpload(r)})
	want := map[string]string{"echo": body, "flush": strings.Repeat(id, 10), "slow": id, "stubborn": id}[kind]
	got, runs := rec.Body.String(), w.book.of(id)
	switch {
	case runs > 1:
		w.t.Errorf("%s has run %d times", id, runs)
	case out.Err == nil && (runs != 1 || got != want):
		w.t.Errorf("%s %s: %d runs, %d bytes, want %d; %+v", id, kind, runs, len(got), len(want), out)
	case !strings.HasPrefix(want, got):
		w.t.Errorf("%s %s: the answer is another's: %.40q", id, kind, got)
	case kind == "refused" && out.State != attempt.Refused && out.State > attempt.Sent:
		w.t.Errorf("%s was refused: %+v", id, out)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally[out.State]++
	if out.Err != nil && out.State.Undone() {
		w.undone = append(w.undone, id)
	}
}
