package farm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// What configsync has switch all nodes at nearly the same moment is what a farm's log has.
var _ interface {
	ProposeTogether(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)
} = (*cluster.Handle)(nil)

type siteConfig struct {
	Banner string
	Max    int
}

func (s siteConfig) Validate() error {
	if s.Max > 10 {
		return errors.New("max is above 10")
	}
	return nil
}

var siteOf = configsync.NewConfig("site", siteConfig{Banner: "Welcome"})

func banner(*farm.Farm) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, siteOf.Get(r.Context()).Banner)
	})
}

// said returns what a node answers.
func said(t *testing.T, n *farmtest.Node, path string) string {
	t.Helper()
	res, err := n.Client().Get(n.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", n, res.StatusCode, b, err)
	}
	return string(b)
}

// putConfig sets files by one node, whatever was in force.
func putConfig(n *farmtest.Node, files configsync.Files) error {
	m := n.Farm().Configs()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := m.Put(ctx, configsync.Change{Write: configsync.Write{Epoch: m.Status().Epoch, Who: "test"},
		Set: files})
	return err
}

// TestConfigs: a change reaches every node at one index, also one that was away, which answers nobody before
// it has it.
func TestConfigs(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		c := farmtest.Config{Durable: durable, Handler: banner, Configure: func(_ *farmtest.Node, c *farm.Config) {
			c.Configs = []configsync.Declared{siteOf}
		}}
		c.Run(t, func(t *testing.T, f *farmtest.Farm) {
			a, b, c := f.Nodes[0], f.Nodes[1], f.Nodes[2]
			if got := said(t, b, "/"); got != "Welcome" {
				t.Errorf("at first: %s", got)
			}
			files := configsync.Files{"site.yaml": "banner: Hello\npaths: {/shop/: {banner: Shop}}\n",
				"nodes/" + c.Name() + "/site.yaml": "banner: Here\n"}
			if err := putConfig(b, files); err != nil {
				t.Fatal(err)
			}
			f.Settle()
			for n, want := range map[*farmtest.Node]string{a: "Hello Shop", b: "Hello Shop", c: "Here Shop"} {
				if got := said(t, n, "/") + " " + said(t, n, "/shop/tea"); got != want {
					t.Errorf("%s says %s, want %s", n, got, want)
				}
			}
			if err := putConfig(c, configsync.Files{"site.yaml": "max: 11"}); err == nil ||
				!strings.Contains(err.Error(), "max is above 10") {
				t.Error(err)
			}
			c.Kill()
			if err := putConfig(a, configsync.Files{"nodes/" + c.Name() +
				"/site.yaml": "banner: There\n"}); err != nil {
				t.Fatal(err)
			}
			c.Restart()
			if err := c.Farm().Ready(context.Background()); err != nil { // before that its peers answer for it
				t.Fatal(err)
			}
			if got := said(t, c, "/"); got != "There" {
				t.Errorf("after it was away: %s", got)
			}
			f.Settle()
			if st := c.Farm().Configs().Status(); st.Epoch != 2 || st.Uses != 2 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestConfigs_UnusableKeepsTheGateClosed: a program that cannot read what is in force answers nobody by its
// defaults.
func TestConfigs_UnusableKeepsTheGateClosed(t *testing.T) {
	t.Parallel()
	older := configsync.NewConfig("site", struct{ Max int }{})
	old := false
	handler := func(f *farm.Farm) http.Handler {
		if !old {
			return banner(f)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, older.Get(r.Context()).Max)
		})
	}
	c := farmtest.Config{Nodes: 2, Durable: true, Handler: handler, Configure: func(n *farmtest.Node,
		c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
		if old {
			c.Configs = []configsync.Declared{older}
		}
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		a, b := f.Nodes[0], f.Nodes[1]
		if err := putConfig(a, configsync.Files{"site.yaml": "banner: New\n"}); err != nil {
			t.Fatal(err)
		}
		b.Stop()
		old = true
		b.Restart()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := b.Farm().Ready(ctx); err == nil {
			t.Error("it is ready with a configuration that it cannot read")
		}
		if got := said(t, b, "/"); got != "New" { // by its peer
			t.Errorf("says %s", got)
		}
		if err := putConfig(a, configsync.Files{"site.yaml": "max: 3\n"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Farm().Ready(context.Background()); err != nil {
			t.Error(err)
		}
		if got := said(t, b, "/"); got != "3" {
			t.Errorf("says %s", got)
		}
	})
}

func TestConfigs_WatchedInDevelopment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "site.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("baner: one\n")
	cfg := farm.Config{Configs: []configsync.Declared{siteOf}, ConfigPath: file, Dev: true, Dir: t.TempDir(),
		HTTP: farm.None}
	if f, err := farm.Open(cfg); err == nil {
		f.Close()
		t.Error("it begins with a file that is wrong")
	} else if !strings.Contains(err.Error(), "site.yaml:1:1: baner: unknown field") {
		t.Error(err)
	}
	write("banner: one\n")
	f, err := farm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(f.Configs().Context(context.Background()), time.Minute)
	defer cancel()
	last := ""
	for v := range siteOf.Follow(ctx) {
		if last = v.Value.Banner; last == "two" {
			break
		}
		write("banner: two\n")
	}
	if last != "two" {
		t.Errorf("after the file has changed: %s", last)
	}
}

// TestConfigs_Jobs: a job reads the configuration by its context, as a request does.
func TestConfigs_Jobs(t *testing.T) {
	t.Parallel()
	read := make(chan string, 100)
	c := farmtest.Config{Nodes: 1, Configure: func(_ *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
	}, Handler: func(f *farm.Farm) http.Handler {
		err := f.Every("job", once.Schedule{Cron: "* * * * *", Zone: "UTC"}, func(ctx context.Context, _ once.Tick) error {
			read <- siteOf.Get(ctx).Banner
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		return http.NotFoundHandler()
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if err := putConfig(f.Nodes[0], configsync.Files{"site.yaml": "banner: sale\n"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := <-read; got != "sale" {
			t.Errorf("the job reads %q", got)
		}
	})
}
