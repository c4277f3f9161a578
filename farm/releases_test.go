package farm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// pool stands for what a hook of the application holds.
type pool struct{ open, refuses atomic.Int32 }

func (p *pool) prepare(_ context.Context, _, next *siteConfig) (commit, abort func(), err error) {
	if p.refuses.Load() > 0 {
		return nil, nil, errors.New("no connection to the new database")
	}
	p.open.Add(1)
	return func() {}, func() { p.open.Add(-1) }, nil
}

// One node that refuses keeps all others from switching, and what they had made ready is undone.
func TestReleases_OneRefuses(t *testing.T) {
	t.Parallel()
	pools := map[string]*pool{"n1": {}, "n2": {}, "n3": {}}
	c := farmtest.Config{Nodes: 3, Handler: banner, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
		c.Prepare = []configsync.Hook{siteOf.OnPrepare(pools[n.Name()].prepare)}
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: One\n"}); err != nil {
			t.Fatal(err)
		}
		open := func() (out [3]int32) {
			for i, n := range f.Nodes {
				out[i] = pools[n.Name()].open.Load()
			}
			return out
		}
		if got := open(); got != [3]int32{1, 1, 1} {
			t.Fatalf("prepared: %v", got)
		}
		pools["n2"].refuses.Store(1)
		for _, by := range f.Nodes {
			err := putConfig(by, configsync.Files{"site.yaml": "banner: Two\n"})
			if !errors.Is(err, configsync.ErrRefused) {
				t.Fatalf("by %s: %v", by, err)
			}
			time.Sleep(time.Second)
			if got := open(); got != [3]int32{1, 1, 1} {
				t.Errorf("prepared, after n2 has refused: %v", got)
			}
			for _, n := range f.Nodes {
				if got := said(t, n, "/"); got != "One" {
					t.Errorf("%s says %s", n, got)
				}
			}
		}
		pools["n2"].refuses.Store(0)
		if err := putConfig(f.Nodes[1], configsync.Files{"site.yaml": "banner: Two\n"}); err != nil {
			t.Fatal(err)
		}
		for _, n := range f.Nodes {
			if got := said(t, n, "/"); got != "Two" {
				t.Errorf("%s says %s", n, got)
			}
		}
	})
}

// Whoever follows a release is told how its rollout ended, however quick that was, wherever it was asked for.
func TestReleases_LastWord(t *testing.T) {
	t.Parallel()
	c := farmtest.Config{Nodes: 2, Handler: banner, Configure: func(_ *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		for i := range 20 {
			m := f.Nodes[i%2].Farm().Configs()
			change := configsync.Change{Write: configsync.Write{Epoch: m.Status().Epoch, Who: "test", Key: fmt.Sprint("k", i)},
				Set: configsync.Files{"site.yaml": fmt.Sprintf("banner: B%d\n", i)}}
			w := httptest.NewRecorder()
			put := func(ctx context.Context) (configsync.Result, error) {
				epoch, err := m.Put(ctx, change)
				return configsync.Result{Epoch: epoch}, err
			}
			farm.TellRollout(t.Context(), f.Nodes[i%2].Farm(), w, change.Key, put)
			lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
			if n := len(lines); n < 2 || !strings.Contains(lines[n-1], `"result"`) ||
				!strings.Contains(lines[n-2], `"phase":"done"`) {
				t.Fatalf("by %s, change %d:\n%s", f.Nodes[i%2], i, w.Body)
			}
		}
	})
}

// A release after which a node is not well is taken back on all of them.
func TestReleases_TakenBack(t *testing.T) {
	t.Parallel()
	ill := func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b := siteOf.Get(r.Context()).Banner
			if b == "Bad" && farm.Info(r.Context()).Node != "n1" {
				http.Error(w, b, http.StatusInternalServerError)
				return
			}
			io.WriteString(w, b)
		})
	}
	farmtest.Config{Nodes: 3, Handler: ill, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: Good\n"}); err != nil {
			t.Fatal(err)
		}
		err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: Bad\n"})
		if !errors.Is(err, configsync.ErrReturned) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // the others hear of it a moment later
		for _, n := range f.Nodes {
			if got := said(t, n, "/"); got != "Good" {
				t.Errorf("%s says %s", n, got)
			}
		}
	})
}

// A node that missed a switch, because it was cut off or down, or its disk is put back to what it was, shows what it
// had until it is in touch again, and from then on never.
func TestReleases_LateNode(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{}
	farmtest.Config{Nodes: 3, Durable: true, Handler: banner, Configure: func(n *farmtest.Node, c *farm.Config) {
		dirs[n.Name()] = c.Dir
		c.Configs = []configsync.Declared{siteOf}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		put := func(by *farmtest.Node, text string) {
			t.Helper()
			if err := putConfig(by, configsync.Files{"site.yaml": "banner: " + text + "\n"}); err != nil {
				t.Fatal(err)
			}
		}
		put(f.Nodes[0], "r0")
		for i, away := range []func(n *farmtest.Node) (back func()){
			func(n *farmtest.Node) func() {
				f.Partition([]*farmtest.Node{n})
				return f.Heal
			},
			func(n *farmtest.Node) func() {
				n.Kill()
				return n.Restart
			},
			func(n *farmtest.Node) func() {
				n.Stop()
				dir, old := dirs[n.Name()], filepath.Join(t.TempDir(), "old")
				if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				n.Restart()
				f.Settle()
				put(n, "since")
				n.Stop()
				return func() {
					if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(old))); err != nil {
						t.Fatal(err)
					}
					n.Restart()
				}
			},
		} {
			n := f.Leader()
			back := away(n)
			for k := range 3 {
				put(f.Others(n)[0], fmt.Sprintf("r%d-%d", i, k))
			}
			want := fmt.Sprintf("r%d-2", i)
			back()
			f.Settle()
			for range 20 {
				if got := said(t, n, "/"); got != want {
					t.Errorf("%s says %s, not %s", n, got, want)
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	})
}

// A page that lasts until its reader has gone is well: the check after a switch reads it for a while, as a browser.
func TestReleases_StreamIsWell(t *testing.T) {
	t.Parallel()
	var running atomic.Int32
	stream := func(*farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Add(-1)
			for {
				if _, err := io.WriteString(w, "data: 1\n\n"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	farmtest.Config{Nodes: 1, Handler: stream, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: Good\n"}); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if n := running.Load(); n != 0 {
			t.Errorf("%d handlers run still", n)
		}
	})
}
