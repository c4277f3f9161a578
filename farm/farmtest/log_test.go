package farmtest_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/session"
)

// gossip is a log handler that keeps everything, and apart from that what was said at Info.
type gossip struct {
	slog.Handler
	mu   *sync.Mutex
	info *[]string
}

func (g gossip) Handle(ctx context.Context, r slog.Record) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Level == slog.LevelInfo && !slices.Contains(*g.info, r.Message) {
		*g.info = append(*g.info, r.Message)
	}
	return g.Handler.Handle(ctx, r)
}

func (g gossip) WithAttrs(a []slog.Attr) slog.Handler {
	return gossip{g.Handler.WithAttrs(a), g.mu, g.info}
}

// TestWhatIsLogged has a farm live through this and that. What an operator reads is who came and went and who leads; and
// whoever reads the log, down to the last line that is there for debugging, learns no secret, token or session id.
func TestWhatIsLogged(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	var info, ids, hidden []string
	log := slog.New(gossip{slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug}), new(sync.Mutex), &info})
	application := func(f *farm.Farm) http.Handler {
		next := application(f)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			s := session.From(r.Context())
			log.Debug("served", "session", s, "id", s.ID())
			if id := s.ID(); id != "" {
				ids = append(ids, string(id))
			}
		})
	}
	c := farmtest.Config{Handler: application, Logger: log, Configure: func(_ *farmtest.Node, c *farm.Config) {
		hidden = append(hidden, c.Secrets...)
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		leader := f.Leader()
		others := f.Others(leader)
		v := newVisitor(t, f, "v")
		visit := func(n *farmtest.Node) {
			v.mustWrite(n, failover)
			for _, cookie := range v.cookies(n) {
				hidden = append(hidden, cookie.Value)
			}
		}
		visit(leader)
		visit(others[0])
		f.Partition([]*farmtest.Node{leader})
		if err := v.write(leader); err == nil {
			t.Error("a write without a majority was acknowledged")
		}
		f.Heal()
		f.Settle()
		f.Leader().Kill()
		for _, n := range f.Running() {
			visit(n)
		}
		for _, n := range f.Nodes {
			if !n.Up() {
				n.Restart()
			}
		}
		f.Settle()
		forged := newVisitor(t, f, "forged")
		forged.client.Jar = nil
		req, err := http.NewRequest("GET", f.Nodes[0].URL()+"/notes", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, cookie := range v.cookies(f.Nodes[0]) {
			req.AddCookie(&http.Cookie{Name: cookie.Name, Value: strings.ToLower(cookie.Value)})
			hidden = append(hidden, strings.ToLower(cookie.Value))
		}
		if _, err := do(forged.client, req); err != nil {
			t.Error(err)
		}
		if _, err := call(v.client, "DELETE", f.Nodes[0].URL()+"/notes"); err != nil {
			t.Error(err)
		}
	})
	for _, message := range info {
		if !slices.Contains([]string{"opened", "joined", "stopped", "leader changed", "caught up", "ready", "draining", "drained", "closed"}, message) {
			t.Errorf("an operator reads %q", message)
		}
	}
	if len(info) != 9 {
		t.Errorf("an operator reads %q", info)
	}
	if hidden = append(hidden, ids...); len(ids) == 0 || len(hidden) < 10 {
		t.Fatalf("there was little to hide: %q", hidden)
	}
	for _, s := range hidden {
		if strings.Contains(all.String(), s[:12]) {
			t.Errorf("%q is in the log", s)
		}
	}
	if !strings.Contains(all.String(), "session="+ids[0][:6]) || !strings.Contains(all.String(), "raft") {
		t.Error("the log has not what it was looked through for")
	}
}
