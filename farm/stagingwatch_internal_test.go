package farm

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
)

// TestWatchSite: a folder is shown, to whoever has a token of it, once it is quiet; half of a copy never is, and what
// is wrong leaves what was right.
func TestWatchSite(t *testing.T) {
	type site struct{ Banner string }
	siteOf := configsync.NewConfig("site", site{Banner: "Welcome"})
	first, err := Open(Config{HTTP: None, Admin: None, Configs: []configsync.Declared{siteOf}})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	f, err := Open(Config{HTTP: None, Admin: None, Configs: []configsync.Declared{siteOf}, Role: cluster.Staging, Name: "s",
		Join: []string{first.Cluster().Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Router()
	r.Get("/banner", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, siteOf.Get(r.Context()).Banner) })
	r.Handle("/*", f.Content())
	h := f.Handler(r)
	link, err := f.draftLink(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(path, want string, status int) {
		t.Helper()
		req := httptest.NewRequest("GET", path, nil)
		req.Header.Set(previewHeader, link.Preview.Token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if got := w.Body.String(); w.Code != status || status == http.StatusOK && got != want {
			t.Errorf("%s: %d %q; want %d %q", path, w.Code, got, status, want)
		}
	}
	f.cfg.WatchSite = dir
	w := &siteWatch{f: f}
	now := time.Now()
	look := func(after time.Duration, wrong bool) {
		t.Helper()
		now = now.Add(after)
		if err := w.look(now); (err != nil) != wrong {
			t.Error(err)
		}
	}
	write("public/a.txt", "one")
	write("config/site.yaml", "banner: Spring\n")
	look(0, false)
	look(watchQuiet/2, false)
	shows("/a.txt", "", http.StatusGone) // it is not quiet yet
	write("public/b.txt", "half of a co")
	look(watchQuiet/2, false)
	shows("/a.txt", "", http.StatusGone)
	write("public/b.txt", "half of a copy, and the rest")
	look(watchQuiet, false)
	look(watchQuiet, false)
	shows("/a.txt", "one", http.StatusOK)
	shows("/b.txt", "half of a copy, and the rest", http.StatusOK)
	shows("/banner", "Spring", http.StatusOK)

	write("config/site.yaml", "baner: Summer now\n")
	look(0, false)
	look(watchQuiet, true)
	look(watchQuiet, false) // which is said once
	shows("/banner", "Spring", http.StatusOK)
	if n := f.configs.Status().Epoch; n != 0 {
		t.Errorf("epoch %d: a folder that is watched was published", n)
	}

	f.cfg.WatchPublish = true
	write("config/site.yaml", "banner: Summer\n")
	look(0, false)
	look(watchQuiet, false)
	shows("/banner", "Summer", http.StatusOK)
	if n := f.configs.Status().Epoch; n != 1 {
		t.Errorf("epoch %d", n)
	}
	for _, bad := range []Config{{WatchPublish: true}, {WatchSite: dir}} {
		if bad.validateWatch() == nil {
			t.Errorf("%q, %v is taken", bad.WatchSite, bad.WatchPublish)
		}
	}
}
