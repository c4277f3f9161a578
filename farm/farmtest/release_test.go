package farmtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// Site is the configuration of the site under test.
type Site struct {
	Banner string
	Prices map[string]int
	Every  time.Duration
}

func (s Site) Validate() error {
	if s.Prices["tea"] > 1000 {
		return errors.New("nobody buys tea at that price")
	}
	return nil
}

var site = configsync.NewConfig("site", Site{Banner: "Welcome", Prices: map[string]int{"tea": 300}})

// pages serves what is published, and the configuration at /banner.
func pages(f *farm.Farm) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /banner", func(w http.ResponseWriter, r *http.Request) {
		s := site.Get(r.Context())
		fmt.Fprint(w, s.Banner, " ", s.Prices["tea"], " ", s.Every)
	})
	mux.HandleFunc("GET /node", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, farm.Info(r.Context()).Node)
	})
	mux.Handle("/", f.Content())
	return mux
}

// withSite lists the configuration.
func withSite(_ *farmtest.Node, c *farm.Config) { c.Configs = []configsync.Declared{site} }

// folder returns a site folder.
func folder(files ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		out[files[i]] = &fstest.MapFile{Data: []byte(files[i+1]), Mode: 0o644}
	}
	return out
}

// shows checks what nodes serve.
func shows(t *testing.T, nodes []*farmtest.Node, page, banner string) {
	t.Helper()
	for _, n := range nodes {
		if _, got := n.Get("/a.txt"); got != page {
			t.Errorf("%s shows the page %q, not %q", n, got, page)
		}
		if _, got := n.Get("/banner"); got != banner {
			t.Errorf("%s shows %q, not %q", n, got, banner)
		}
	}
}

// What is published is in force everywhere when Publish and SetConfig return; what is refused has changed
// nothing.
func TestPublish(t *testing.T) {
	t.Parallel()
	farmtest.Config{Handler: pages, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		want := func(epoch uint64, got uint64, err error) {
			t.Helper()
			if err != nil || got != epoch {
				t.Fatalf("epoch %d, not %d; %v", got, epoch, err)
			}
		}
		e, err := f.Publish(folder("public/a.txt", "1", "config/site.yaml", "banner: One\n"))
		want(1, e, err)
		shows(t, f.Nodes, "1", "One 300 0s")
		e, err = f.SetConfig("site", "prices.tea", 320)
		want(2, e, err)
		e, err = f.SetConfig("site", "every", time.Minute)
		want(3, e, err)
		e, err = f.SetConfig("site", "banner", "no: \"yes\"")
		want(4, e, err)
		shows(t, f.Nodes, "1", `no: "yes" 320 1m0s`)

		// A folder of the disk, without configuration.
		dir := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "public"), 0o755),
			os.WriteFile(filepath.Join(dir, "public", "a.txt"), []byte("2"), 0o644)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the same again is no new epoch
			e, err = f.Publish(os.DirFS(dir))
			want(5, e, err)
		}

		var ps configsync.Problems
		if _, err := f.SetConfig("site", "baner", "x"); !errors.As(err, &ps) ||
			!strings.Contains(err.Error(), "banner") {
			t.Errorf("an unknown field: %v", err)
		}
		if _, err := f.SetConfig("site", "prices.tea", 1001); !errors.As(err, &ps) {
			t.Errorf("a value that Validate refuses: %v", err)
		}
		if _, err := f.SetConfig("site", "banner", func() {}); err == nil {
			t.Error("a function is a value")
		}
		if _, err := f.Publish(folder("config/site.yaml", "banner: [1]\n")); !errors.As(err, &ps) {
			t.Errorf("a text that is a list: %v", err)
		}
		var wrong content.Problems
		if _, err := f.Publish(folder("public/a.txt", "3", "public/A.txt", "4")); !errors.As(err, &wrong) {
			t.Errorf("two names that differ by case: %v", err)
		}
		if _, err := f.Publish(folder("public/a.txt", "3", "release.yaml", "program: 99.0.0\n")); !errors.Is(err,
			configsync.ErrRefused) || !strings.Contains(err.Error(), "99.0.0") {
			t.Errorf("for a newer program: %v", err)
		}
		shows(t, f.Nodes, "2", `no: "yes" 320 1m0s`)
	})
}

// A node that is cut off, or down, is not waited for, and has it once it is back.
// Slow: a durable farm, with a node that starts again.
func TestPublish_Absent(t *testing.T) {
	t.Parallel()
	farmtest.Config{Handler: pages, Durable: true, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		others := f.Others(f.Leader())
		away, down := others[0], others[1]
		f.Partition([]*farmtest.Node{away})
		if _, err := f.SetConfig("site", "banner", "One"); err != nil {
			t.Fatal(err)
		}
		if _, got := away.Get("/banner"); got != "Welcome 300 0s" {
			t.Errorf("cut off, it shows %q", got)
		}
		f.Heal()
		f.Settle()
		down.Kill()
		epoch, err := f.Publish(folder("public/a.txt", "1"))
		if err != nil {
			t.Fatal(err)
		}
		shows(t, f.Running(), "1", "One 300 0s")
		down.Restart()
		f.AwaitEpoch(epoch) // also of who has no leader yet
		if s := down.Farm().Configs().Status(); s.Uses < epoch {
			t.Errorf("awaited epoch %d, and %s has %+v", epoch, down, s)
		}
		f.Settle()
		shows(t, f.Nodes, "1", "One 300 0s")
	})
}

// A node that drains tells so, is asked nothing more, finishes what runs, and can be looked at meanwhile;
// and the farm settles around it.
func TestDrain(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), (chan struct{})(nil)
	handler := func(f *farm.Farm) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", pages(f))
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-finish
		})
		return mux
	}
	farmtest.Config{Handler: handler, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		begun, finish = make(chan struct{}, 1), make(chan struct{}) // of this bubble
		n := f.Nodes[1]
		go n.Get("/slow")
		<-begun
		ended := n.Drain()
		if code, _ := n.Get("/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("/readyz: %d", code)
		}
		time.Sleep(time.Second) // the others hear of it
		for _, at := range f.Nodes {
			if _, by := at.Get("/node"); by == n.Name() {
				t.Errorf("%s is asked by way of %s", n, at)
			}
		}
		began := time.Now()
		time.AfterFunc(3*time.Second, func() { close(finish) })
		if err := ended(); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
		f.Settle() // though one does not serve
		n.Undrain()
		f.Settle()
		if _, by := n.Get("/node"); by != n.Name() {
			t.Errorf("after Undrain, %s answers for %s", by, n)
		}
		n.Drain()
		n.Drain() // once more changes nothing
		n.Restart()
		f.Settle()
		if _, by := n.Get("/node"); by != n.Name() {
			t.Errorf("after a restart, %s answers for %s", by, n)
		}
		f.Nodes[2].Kill()
		if err := f.Nodes[2].Drain()(); err != nil {
			t.Errorf("of a node that is down: %v", err)
		}
		f.Nodes[2].Undrain()
	})
}
