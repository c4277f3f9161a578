package farm_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// siteFS is a site folder in memory, for what reads one.
func siteFS(files ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		out[files[i]] = &fstest.MapFile{Data: []byte(files[i+1]), Mode: 0o644}
	}
	return out
}

// A staging node publishes; all others show pages and configuration of one epoch, and take nobody else's.
func TestPublish_Staging(t *testing.T) {
	t.Parallel()
	handler := func(f *farm.Farm) http.Handler {
		r := f.Router()
		r.Get("/banner", banner(f).ServeHTTP)
		r.Handle("/*", f.Content())
		return r
	}
	dirs := map[string]string{}
	farmtest.Config{Nodes: 3, Durable: true, Handler: handler, Configure: func(n *farmtest.Node, c *farm.Config) {
		dirs[n.Name()] = c.Dir
		c.Configs = []configsync.Declared{siteOf}
		c.Site = siteFS("public/a.txt", "own", "public/404.html", "lost", "public/d/x.txt", "x")
		if n.Name() == "n3" {
			c.Role = cluster.Staging
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		staging := f.Nodes[2]
		show := func(text, own string) {
			t.Helper()
			time.Sleep(100 * time.Millisecond) // the others hear of it a moment later
			for _, n := range f.Nodes[:2] {
				if a, b := said(t, n, "/a.txt"), said(t, n, "/banner"); a != own || b != text {
					t.Errorf("%s shows %q and %q, not %q and %q", n, a, b, own, text)
				}
			}
		}
		show("Welcome", "own")
		tags := map[string]bool{}
		for _, n := range f.Nodes[:2] {
			res, err := n.Client().Get(n.URL() + "/a.txt")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			tags[res.Header.Get("Etag")] = true
			for _, path := range []string{"/d/", "/b.txt"} { // no list of files
				if res, err = n.Client().Get(n.URL() + path); err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				if res.Body.Close(); res.StatusCode != http.StatusNotFound || string(b) != "lost" {
					t.Errorf("%s%s: %d %s", n, path, res.StatusCode, b)
				}
			}
		}
		if len(tags) != 1 || tags[""] {
			t.Errorf("the nodes' ETags: %v", tags)
		}
		publish := func(n *farmtest.Node, files ...string) (configsync.Result, error) {
			return n.Farm().Publish(t.Context(), siteFS(files...), farm.Publication{})
		}
		if _, err := publish(f.Nodes[0], "public/a.txt", "x"); !errors.Is(err, farm.ErrNotStaging) {
			t.Errorf("an ordinary node publishes: %v", err)
		}
		one, err := publish(staging, "public/a.txt", "1", "config/site.yaml", "banner: One\n")
		if err != nil {
			t.Fatal(err)
		}
		show("One", "1")
		if again, err := publish(staging, "public/a.txt", "1"); err != nil || again.Epoch != one.Epoch {
			t.Errorf("the same again: %+v, %v", again, err)
		}
		if _, err := publish(staging, "public/a.txt", "2", "config/site.yaml", "baner: Two\n"); err == nil {
			t.Error("a configuration that is wrong is taken")
		}
		if _, err := publish(staging, "public/a.txt", "2", "release.yaml", "program: 99.0.0\n"); !errors.Is(err,
			configsync.ErrRefused) {
			t.Errorf("a release for a newer program: %v", err)
		}
		show("One", "1")
		if _, err := publish(staging, "public/a.txt", "2"); err != nil {
			t.Fatal(err)
		}
		show("One", "2")
		staging.Restart() // its key is in its folder
		f.Settle()
		if _, err := publish(staging, "public/a.txt", "3", "public/needle.txt", "a needle in a haystack"); err != nil {
			t.Fatal(err)
		}
		show("One", "3")
		for _, dir := range dirs { // what is published is not in the log, and its hash is
			if n := holding(t, dir, "a needle in a haystack", "content"); n != 1 {
				t.Errorf("%d files of the content in %s have what is published", n, dir)
			}
			if n := holding(t, dir, "a needle in a haystack", "raft"); n != 0 {
				t.Errorf("%d files of the log in %s have what is published", n, dir)
			}
			if n := holding(t, dir, "banner: One", "raft"); n == 0 {
				t.Errorf("the configuration is in no file of the log in %s: was it searched?", dir)
			}
		}
		if all := f.Nodes[0].Farm().Configs().Credentials(); len(all) != 1 {
			t.Errorf("the farm knows %d credentials", len(all))
		}
	})
}

// holding returns how many files of a part of a data directory have a text in them.
func holding(t *testing.T, dir, text, part string) (files int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, part), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			files++
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// A node that has no room for a release refuses it before anything is moved to it, and says what to do; nothing
// changes.
func TestPublish_NoRoom(t *testing.T) {
	t.Parallel()
	handler := func(f *farm.Farm) http.Handler { return f.Content() }
	farmtest.Config{Nodes: 3, Durable: true, Handler: handler, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs = []configsync.Declared{siteOf}
		c.Site = siteFS("public/a.txt", "own")
		switch n.Name() {
		case "n2":
			c.ContentQuota = 10_000
		case "n3":
			c.Role = cluster.Staging
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		small := strings.Repeat("a small page. ", 10)
		if _, err := f.Nodes[2].Farm().Publish(t.Context(), siteFS("public/a.txt", small), farm.Publication{}); err != nil {
			t.Fatal(err)
		}
		random := make([]byte, 20_000)
		rand.NewChaCha8([32]byte{}).Read(random)
		_, err := f.Nodes[2].Farm().Publish(t.Context(), siteFS("public/a.txt", "new", "public/b.bin", string(random)),
			farm.Publication{})
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), "nothing has changed: n2: content: ") ||
			!strings.Contains(err.Error(), "quota of 10000") {
			t.Errorf("%v", err)
		}
		time.Sleep(100 * time.Millisecond)
		for _, n := range f.Nodes[:2] {
			if got := said(t, n, "/a.txt"); got != small {
				t.Errorf("%s shows %q", n, got)
			}
		}
	})
}
