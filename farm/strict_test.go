package farm_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// shownOrder is the order in which handlers answer, anywhere in the farm.
type shownOrder struct {
	mu    sync.Mutex
	last  string // guarded by mu, and so is what follows
	backs int
	all   int
}

func (o *shownOrder) note(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all++
	if text < o.last {
		o.backs++
	}
	o.last = max(o.last, text)
}

// strictFarm is five nodes that show a release: n4 is a front, and n5 a staging node. A page below /slow answers when
// gate is closed, and /events has sent an event by then.
type strictFarm struct {
	*farmtest.Farm
	t     *testing.T
	order shownOrder
	gate  chan struct{}
	epoch uint64 // in force
}

func (s *strictFarm) handler(f *farm.Farm) http.Handler {
	r := f.Router()
	r.Get("/*", func(w http.ResponseWriter, r *http.Request) {
		b, err := fs.ReadFile(f.FS(r.Context()), "templates/name")
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		switch {
		case strings.HasPrefix(r.URL.Path, "/slow"):
			<-s.gate
		case r.URL.Path == "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: begun\n\n")
			http.NewResponseController(w).Flush()
			<-s.gate
			return
		}
		s.order.note(string(b))
		w.Write(b)
	})
	return r
}

func (s *strictFarm) publish(text string, hold bool) uint64 {
	s.t.Helper()
	r, err := s.Nodes[4].Farm().Publish(s.t.Context(), siteFS("public/index.html", text, "templates/name", text),
		farm.Publication{Hold: hold})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Release
}

func (s *strictFarm) activate(by *farmtest.Node, release uint64, most time.Duration) error {
	w := configsync.Write{Epoch: s.epoch} // the node may not have applied what another one has
	done, err := by.Farm().Configs().Activate(s.t.Context(), w, release, configsync.Plan{Strict: most, Confirm: -1})
	if err == nil {
		s.epoch = done.Epoch
	}
	return err
}

func (s *strictFarm) run(t *testing.T, do func()) {
	t.Parallel()
	farmtest.Config{Nodes: 5, Handler: s.handler, Configure: func(n *farmtest.Node, c *farm.Config) {
		switch n.Name() {
		case "n4":
			c.Role = cluster.Front
		case "n5":
			c.Role = cluster.Staging
		}
		c.ReadyWithoutQuorum = true
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		s.Farm, s.t, s.gate = f, t, make(chan struct{})
		s.publish("01", false)
		s.epoch = 1
		do()
	})
}

// hammer asks all nodes until ctx ends.
func (s *strictFarm) hammer(ctx context.Context) *sync.WaitGroup {
	var wg sync.WaitGroup
	for c := range 12 {
		wg.Go(func() {
			for i := c; ctx.Err() == nil; i++ {
				s.Nodes[i%4].Get("/")
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	return &wg
}

// TestStrict_Order: releases are put in force strictly while all nodes are asked, and a front that forwards. A stream of
// events that is open holds nobody up. By one common order no handler answers from the old release after any has from
// the new one.
func TestStrict_Order(t *testing.T) {
	s := &strictFarm{}
	s.run(t, func() {
		ctx, stop := context.WithCancel(s.t.Context())
		n := s.Nodes[1]
		res, err := n.Client().Get(n.URL() + "/events")
		if err != nil {
			s.t.Fatal(err)
		}
		if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "data: begun\n" {
			s.t.Fatal(line, err)
		}
		wg := s.hammer(ctx)
		for i, text := range []string{"02", "03", "04", "05", "06", "07", "08", "09"} {
			id := s.publish(text, true)
			if err := s.activate(s.Nodes[i%4], id, 5*time.Second); err != nil {
				s.t.Error(text, err)
			}
		}
		stop()
		wg.Wait()
		close(s.gate)
		res.Body.Close()
		if s.order.backs > 0 || s.order.last != "09" || s.order.all < 100 {
			s.t.Errorf("%d answers, the last from %s; %d from an old release after a new one", s.order.all, s.order.last,
				s.order.backs)
		}
	})
}

// TestStrict_CutOff: a node that is cut off from the others, and not from clients, is in the way of a Strict rollout, and
// of one that has begun. What it holds by then it answers with 503, and never from the old release.
func TestStrict_CutOff(t *testing.T) {
	s := &strictFarm{}
	s.run(t, func() {
		alone, id := s.Nodes[2], s.publish("02", true)
		status := func(n *farmtest.Node, path string) func() (int, string) {
			var code int
			var body string
			done := make(chan struct{})
			go func() {
				defer close(done)
				code, body = n.Get(path)
			}()
			return func() (int, string) { <-done; return code, body }
		}
		slow := status(s.Nodes[1], "/slow")
		done := make(chan error, 1)
		time.Sleep(time.Second)
		go func() { done <- s.activate(s.Nodes[0], id, 5*time.Second) }()
		time.Sleep(time.Second)
		held, front := status(alone, "/"), status(s.Nodes[3], "/")
		time.Sleep(time.Second)
		s.Partition([]*farmtest.Node{alone})
		if err := <-done; !errors.Is(err, configsync.ErrRefused) {
			s.t.Error("cut off within the hold:", err)
		}
		if code, body := front(); code != http.StatusOK || body != "01" {
			s.t.Error("the front:", code, body)
		}
		if code, body := held(); code != http.StatusServiceUnavailable {
			s.t.Error("cut off:", code, body)
		}
		if code, body := status(alone, "/")(); code != http.StatusServiceUnavailable {
			s.t.Error("cut off, later:", code, body)
		}
		close(s.gate)
		if code, body := slow(); code != http.StatusOK || body != "01" {
			s.t.Error("slow:", code, body)
		}
		err := s.activate(s.Nodes[0], id, 5*time.Second)
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), "n3") {
			s.t.Error("while it is cut off:", err)
		}
		s.Heal()
		s.Settle()
		time.Sleep(5 * time.Second)
		if err := s.activate(s.Nodes[0], id, 5*time.Second); err != nil {
			s.t.Error("in touch again:", err)
		}
		for _, n := range s.Nodes[:4] {
			if code, body := n.Get("/"); code != http.StatusOK || body != "02" {
				s.t.Error(n, code, body)
			}
		}
	})
}
