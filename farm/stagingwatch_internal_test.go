package farm

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/filemark"
)

func gzipped(t *testing.T, text string, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWatchSite: a folder is shown, to whoever has a token of it, once it is quiet; half of a copy never is, and what
// is wrong leaves what was right.
//
// Slow: nodes in memory listen for three seconds before they found a farm.
func TestWatchSite(t *testing.T) {
	type site struct{ Banner string }
	siteOf := configsync.NewConfig("site", site{Banner: "Welcome"})
	first, err := Open(Config{HTTP: None, Admin: None, Configs: []configsync.Declared{siteOf}})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	var during atomic.Pointer[func()] // while the folder is checked, after it was read
	var unfit atomic.Bool             // what is checked then
	f, err := Open(Config{HTTP: None, Admin: None, Configs: []configsync.Declared{siteOf}, Role: cluster.Staging, Name: "s",
		Join: []string{first.Cluster().Addr()}, ContentQuota: 4 << 20, CheckContent: func(context.Context, fs.FS) error {
			if do := during.Load(); do != nil {
				(*do)()
			}
			if unfit.Load() {
				return errors.New("it does not fit")
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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
	look(watchQuiet, false) // which is said once, and stands where operators look
	if d := w.draft(nil); !strings.Contains(d.Problem, "site.yaml:1:1") || d.Again || d.Shown.IsZero() || d.Folder != dir {
		t.Errorf("%+v", d)
	}
	shows("/banner", "Spring", http.StatusOK)
	if n := f.configs.Status().Epoch; n != 0 {
		t.Errorf("epoch %d: a folder that is watched was published", n)
	}

	f.cfg.WatchPublish = true
	write("config/site.yaml", "banner: Summer\n")
	look(0, false)
	look(watchQuiet, false)
	if d := w.draft(nil); d.Problem != "" {
		t.Errorf("%+v", d)
	}
	shows("/banner", "Summer", http.StatusOK)
	if n := f.configs.Status().Epoch; n != 1 {
		t.Errorf("epoch %d", n)
	}

	// By a link: without TLS, by a cookie that browsers take without.
	for scheme, want := range map[string]string{"http": "farm-preview", "https": "__Host-farm-preview"} {
		req, w := httptest.NewRequest("GET", scheme+"://s.example/?"+link.Preview.Query, nil), httptest.NewRecorder()
		h.ServeHTTP(w, req)
		c := w.Result().Cookies()
		if len(c) != 1 || c[0].Name != want || c[0].Secure != (scheme == "https") {
			t.Fatalf("%s: %d %v", scheme, w.Code, c)
		}
		req, w = httptest.NewRequest("GET", scheme+"://s.example/banner", nil), httptest.NewRecorder()
		req.AddCookie(c[0])
		if h.ServeHTTP(w, req); w.Body.String() != "Summer" {
			t.Errorf("%s: %d %q", scheme, w.Code, w.Body)
		}
	}

	// What is published is what was shown, also if the folder changes again meanwhile.
	half := func() { write("config/site.yaml", "banner: Half\n") }
	during.Store(&half)
	write("config/site.yaml", "banner: Autumn\n")
	look(0, false)
	look(watchQuiet, false)
	during.Store(nil)
	published := func(epoch uint64, banner string) {
		t.Helper()
		files, e, err := f.configs.Files(0)
		if err != nil || e.Number != epoch || files["site.yaml"] != "banner: "+banner+"\n" {
			t.Errorf("epoch %d: %q, %v; want %d, %s", e.Number, files, err, epoch, banner)
		}
	}
	published(2, "Autumn")

	// A node that is started again does not undo that the farm went back.
	if _, err := f.configs.Rollback(ctx, configsync.Write{Epoch: 2}, 1); err != nil {
		t.Fatal(err)
	}
	write("config/site.yaml", "banner: Autumn\n")
	w = &siteWatch{f: f}
	look(0, false)
	look(watchQuiet, false)
	published(3, "Summer")
	shows("/banner", "Autumn", http.StatusOK)

	// What cannot be published at the moment is published when it can.
	held, err := f.Publish(ctx, os.DirFS(dir), Publication{Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	st := first.Cluster().State()
	self, _ := st.Member(st.Self)
	canary, err := f.configs.StartCanary(ctx, configsync.Write{Epoch: 3}, held.Release, []string{self.Name}, configsync.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	write("config/site.yaml", "banner: Winter\n")
	look(0, false)
	look(watchQuiet, true)
	if d := w.draft(nil); !strings.Contains(d.Problem, "canary") || !d.Again {
		t.Errorf("%+v", d)
	}
	if err := f.configs.EndCanary(ctx, canary.Rollout, "", ""); err != nil {
		t.Fatal(err)
	}
	look(watchAgain/2, true) // which is for later
	published(3, "Summer")
	w.failed, w.dealt = nil, false // as after a try in which the folder was touched while it was read
	look(watchAgain/2, false)
	published(4, "Winter")

	// A fault that is mended elsewhere is shown no longer: the folder would undo what was set by hand, until somebody
	// puts in force what it has. That the fault may be mended is no reason to publish what nobody has touched.
	put := func(epoch uint64, banner string) {
		t.Helper()
		if _, err := f.configs.Put(ctx, configsync.Change{Write: configsync.Write{Epoch: epoch},
			Set: configsync.Files{"site.yaml": "banner: " + banner + "\n"}}); err != nil {
			t.Fatal(err)
		}
	}
	put(4, "By hand")
	write("config/site.yaml", "banner: Spring again\n")
	look(0, false)
	look(watchQuiet, true)
	wrong := func(want string) {
		t.Helper()
		if d := w.draft(nil); (want == "") != (d.Problem == "") || !strings.Contains(d.Problem, want) {
			t.Errorf("%+v; want %q", d, want)
		}
	}
	wrong("By hand")
	put(5, "By another hand")
	look(watchQuiet, false)
	wrong("By hand")
	published(6, "By another hand")
	put(6, "Spring again")
	look(watchQuiet, false)
	wrong("")

	// So is one of the folder together with what is in force.
	unfit.Store(true)
	write("public/a.txt", "two")
	look(0, false)
	look(watchQuiet, true)
	unfit.Store(false)
	look(watchQuiet, false)
	wrong("does not fit")
	put(7, "By hand")
	put(8, "Spring again")
	look(watchQuiet, false)
	wrong("")
	published(10, "Spring again")

	// A change that keeps a file's size and time is seen. A file that was only touched is no change: the farm may have
	// gone back from what it has.
	path := filepath.Join(dir, "config/site.yaml")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	spring, n := "Spring again", uint64(10)
	if filemark.Sure {
		spring, n = "Sprung again", 11
		write("config/site.yaml", "banner: Sprung again\n")
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
		look(0, false)
		look(watchQuiet, false)
		published(n, spring)
	}
	put(n, "By hand")
	if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	look(0, false)
	look(watchQuiet, false)
	published(n+1, "By hand")

	// What the folder lacks is that in force.
	if err := os.RemoveAll(filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	look(0, false)
	look(watchQuiet, false)
	if _, err := f.configs.Put(ctx, configsync.Change{Write: configsync.Write{Epoch: n + 1},
		Set: configsync.Files{"site.yaml": "banner: By another\n"}}); err != nil {
		t.Fatal(err)
	}
	look(watchQuiet, false)
	shows("/banner", "By another", http.StatusOK)

	// Drafts of before do not stand in the way of what the farm needs; the one that is shown stays.
	junk := make([]byte, 4<<20-64<<10)
	if _, err := f.contents.store.Put(ctx, blob.Sum(junk), bytes.NewReader(junk)); err != nil {
		t.Fatal(err)
	}
	f.contents.soon = 0
	if err := f.contents.store.Room(1 << 20); !errors.Is(err, blob.ErrNoRoom) {
		t.Fatal(err)
	}
	if err := f.contents.makeRoom(ctx, 1<<20); err != nil {
		t.Error(err)
	}
	if !f.contents.store.Has(w.shown.m.Root()) {
		t.Error("the draft is gone")
	}

	// Of a folder in which one file has changed, one is compressed: what the draft before has, also of another version
	// of a compressor, stays. Nothing of it is in force.
	f.cfg.WatchPublish = false
	long := strings.Repeat("a text of some length. ", 500)
	for i := range 5 {
		write(fmt.Sprintf("public/long%d.txt", i), fmt.Sprint(i, long))
	}
	look(0, false)
	look(watchQuiet, false)
	older := map[blob.Hash]bool{}
	for i := range w.shown.m.Files {
		if v := w.shown.m.Files[i].Variants; len(v) > 0 {
			zip := gzipped(t, fmt.Sprint(i, long), gzip.BestSpeed) // whatever it is of: nobody looks into it here
			if v[0].Hash, err = f.contents.store.Put(ctx, blob.Hash{}, bytes.NewReader(zip)); err != nil {
				t.Fatal(err)
			}
			v[0].Size = int64(len(zip))
			older[v[0].Hash] = true
		}
	}
	write("public/long0.txt", "changed "+long)
	look(0, false)
	look(watchQuiet, false)
	anew := 0
	for _, file := range w.shown.m.Files {
		for _, v := range file.Variants {
			if !older[v.Hash] {
				anew++
			}
		}
	}
	if len(older) != 5 || anew != 1 {
		t.Errorf("%d files were compressed, and of those %d anew; one was changed", len(older), anew)
	}

	// A manifest alone can be kept, by which later publications are compared.
	root, one := w.shown.m.Root(), w.shown.m.Files[0].Hash
	f.contents.sweepOnce(keeping{roots: []blob.Hash{root}}, 0)
	if !f.contents.store.Has(root) || !f.contents.store.Has(one) {
		t.Error("the draft is gone")
	}
	f.contents.sweepOnce(keeping{manifests: []blob.Hash{root}}, 0)
	if !f.contents.store.Has(root) || f.contents.store.Has(one) {
		t.Error("the manifest is gone, or its files are not")
	}

	for _, bad := range []Config{{WatchPublish: true}, {WatchSite: dir}} {
		if bad.validateWatch() == nil {
			t.Errorf("%q, %v is taken", bad.WatchSite, bad.WatchPublish)
		}
	}
}
