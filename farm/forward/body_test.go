package forward

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// memPeers is a farm of peers that say they are ready, in memory. Their NodeIDs are their addresses.
type memPeers struct {
	*memnet.Network
	ids []string
}

func (p *memPeers) Dial(ctx context.Context, id, proto string) (net.Conn, error) {
	return p.Host("10.0.0.9").Dial(ctx, id+memPort(proto))
}

func memPort(proto string) string {
	if proto == Proto {
		return ":81"
	}
	return ":80"
}

func (p *memPeers) Listener(proto string) net.Listener { return p.listen("10.0.0.9", proto) }

func (p *memPeers) listen(ip, proto string) net.Listener {
	l, err := p.Host(ip).Listen(ip + memPort(proto))
	if err != nil {
		panic(err) // it is free
	}
	return l
}

func (p *memPeers) Watch(ctx context.Context) iter.Seq[cluster.State] {
	var st cluster.State
	for _, id := range p.ids {
		st.Members = append(st.Members, cluster.Member{ID: id, Status: "alive",
			Tags: map[string]string{TagGate: "ready", TagHop: hopLanes}})
	}
	return func(yield func(cluster.State) bool) {
		if yield(st) {
			<-ctx.Done()
		}
	}
}

func (p *memPeers) SetTag(string, string) error { return nil }

// A peer that takes seconds to refuse, on a busy machine, has not been sent the body: the next one gets all
// of it.
func TestForward_SlowRefusal(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		peers := &memPeers{Network: memnet.New(), ids: []string{"10.0.0.1", "10.0.0.2"}}
		slow := &lane.Server{Handle: func(w *lane.Writer, r *http.Request, f *lane.Facts) {
			time.Sleep(10 * time.Second)
			w.Refuse(lane.Refusal{Reason: "draining"})
		}}
		next := &lane.Server{Handle: func(w *lane.Writer, r *http.Request, f *lane.Facts) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		}}
		for i, srv := range []*lane.Server{slow, next} {
			l := peers.listen(peers.ids[i], Proto)
			go srv.Serve(l) // ends with Close
			defer srv.Close()
			defer l.Close()
		}
		g, err := Open(peers, Config{ID: "10.0.0.9", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Handler(never(t))
		for len(*g.hop.eligible.Load()) < 2 {
			time.Sleep(time.Millisecond)
		}
		g.hop.mu.Lock()
		g.hop.peers["10.0.0.2"].pick.Avoid(time.Hour) // so the slow one is asked first
		g.hop.mu.Unlock()
		w := httptest.NewRecorder()
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)))
		g.serveClient(w, httptest.NewRequest("POST", "/", body))
		if got := w.Body.String(); w.Code != http.StatusOK || got != "1048576 <nil>" {
			t.Errorf("status %d, %q", w.Code, got)
		}
	})
}
