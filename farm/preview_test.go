package farm_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
)

// get asks a node, without following where it leads.
func get(t *testing.T, n *farmtest.Node, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, n.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := *n.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestPreview: whoever has the token sees a release on every node before it is in force, its content and its
// configuration, also through a node that forwards and on the staging node, and nobody else does. No cache keeps it.
// Hooks are undone. It is put in force without being sent again, and the preview ends.
func TestPreview(t *testing.T) {
	t.Parallel()
	var prepared, committed, aborted atomic.Int32
	handler := func(f *farm.Farm) http.Handler {
		r := f.Router()
		r.Get("/banner", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, siteOf.Get(r.Context()).Banner+" "+siteOf.Load(r.Context()).Banner)
		})
		r.Handle("/*", f.Content())
		return r
	}
	farmtest.Config{Nodes: 4, Handler: handler, Configure: func(n *farmtest.Node, c *farm.Config) {
		c.Configs, c.PublishPath = []configsync.Declared{siteOf}, "/publish"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		c.Prepare = []configsync.Hook{siteOf.OnPrepare(func(context.Context, *siteConfig, *siteConfig) (func(), func(), error) {
			prepared.Add(1)
			return func() { committed.Add(1) }, func() { aborted.Add(1) }, nil
		})}
		switch n.Name() {
		case "n3":
			c.Role = cluster.Front
		case "n4":
			c.Role = cluster.Staging
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		staging := f.Nodes[3]
		if _, err := staging.Farm().Publish(t.Context(), siteFS("public/a.txt", "1", "public/same.txt", "same",
			"config/site.yaml", "banner: One\n"), farm.Publication{}); err != nil {
			t.Fatal(err)
		}
		store, err := blob.OpenStore(blob.StoreConfig{Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		m := manifestOf(t, store, "new", "same")
		key, err := credential.NewKey("farmtest", "ci", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Nodes[0].Farm().Configs().Mint(t.Context(), configsync.Mint{Public: key.Public(), Name: "ci",
			NotAfter: key.NotAfter}); err != nil {
			t.Fatal(err)
		}
		config := configsync.Files{"site.yaml": "banner: Two\n"}
		signed, err := key.Sign(credential.Order{Key: "1", Made: time.Now().UnixMilli(), Root: m.Root(), Hold: true,
			Overwrite: true, // a.txt goes, which another publisher has brought
			Config:    credential.FilesHash(config), Preview: time.Minute.Milliseconds()})
		if err != nil {
			t.Fatal(err)
		}
		before := [2]int32{committed.Load(), prepared.Load() - committed.Load() - aborted.Load()}
		client := &publish.Client{URL: "http://www.example.com/publish",
			HTTP: &http.Client{Transport: &balancer{nodes: f.Nodes[:2], scheme: "https"}}}
		asked := 0
		r, err := client.Publish(t.Context(), signed, config, store, func(*order.Rollout) { asked++ })
		if err != nil || r.Preview == nil || r.Epoch != 1 || asked == 0 || len(r.Preview.Nodes) != 4 {
			t.Fatalf("%+v, %v, %d", r, err, asked)
		}
		time.Sleep(time.Second)
		if after := [2]int32{committed.Load(), prepared.Load() - committed.Load() - aborted.Load()}; after != before {
			t.Errorf("committed, and not undone: %v, and before: %v", after, before)
		}
		token := r.Preview.Token
		for _, n := range f.Nodes {
			_, page := get(t, n, "/new.txt", "X-Farm-Preview", token)
			res, values := get(t, n, "/banner", "Cookie", "a=b; farm-preview="+token)
			if page != "new" || values != "Two Two" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s shows %q, %q; %v", n, page, values, res.Header)
			}
			if res, _ = get(t, n, "/a.txt", "X-Farm-Preview", token); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s: what the release has not: %s", n, res.Status)
			}
			for _, bad := range []string{token + "A", "", "x.y", token[:len(token)-4] + "AAAA"} {
				if res, _ = get(t, n, "/banner", "X-Farm-Preview", bad); n != staging && res.StatusCode != http.StatusGone {
					t.Errorf("%s: the token %q: %s", n, bad, res.Status)
				}
			}
			if n == staging {
				if res, _ = get(t, n, "/banner"); res.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("the staging node serves: %s", res.Status)
				}
				continue
			}
			_, page = get(t, n, "/a.txt")
			if _, values = get(t, n, "/banner"); page != "1" || values != "One One" {
				t.Errorf("%s shows everybody %q, %q", n, page, values)
			}
		}

		// The same file has the same tag in force and in the preview: no answer of one is taken for one of the other.
		res, _ := get(t, f.Nodes[0], "/same.txt")
		res2, page := get(t, f.Nodes[0], "/same.txt", "X-Farm-Preview", token, "If-None-Match", res.Header.Get("Etag"))
		if h := res2.Header; page != "same" || h.Get("Etag")+h.Get("Last-Modified")+h.Get("Set-Cookie") != "" ||
			h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %v", res2.Status, h)
		}

		res2, page = get(t, f.Nodes[0], "/same.txt", "X-Farm-Preview", token, "Range", "bytes=2-", "If-Range", res.Header.Get("Etag"))
		if page != "same" || res2.StatusCode != http.StatusOK {
			t.Errorf("the rest of what is in force: %s %q", res2.Status, page)
		}

		// By a link, which leads to itself without the token, on this site.
		for path, to := range map[string]string{"/banner?x=1&": "/banner?x=1", "//evil.example/?": "/evil.example/", "/?": "/"} {
			res, _ = get(t, f.Nodes[1], path+r.Preview.Query)
			if c := res.Cookies(); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != to || len(c) != 1 ||
				c[0].Value != token || c[0].Name != "farm-preview" || !c[0].HttpOnly || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s %v", path, res.Status, res.Header)
			}
		}
		res, _ = get(t, f.Nodes[1], "/?farm-preview=")
		if c := res.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || res.StatusCode != http.StatusSeeOther {
			t.Errorf("the end of it: %s %v", res.Status, res.Header)
		}

		// In force, the token shows what everybody sees; and it is over some time.
		configs := f.Nodes[1].Farm().Configs()
		if _, err := configs.Activate(t.Context(), configsync.Write{Epoch: 1}, r.Release, configsync.Plan{}); err != nil {
			t.Fatal(err)
		}
		if _, values := get(t, f.Nodes[0], "/banner", "X-Farm-Preview", token); values != "Two Two" {
			t.Errorf("in force: %q", values)
		}
		same, err := key.Sign(credential.Order{Key: "3", Made: time.Now().UnixMilli(), Root: m.Root(), Hold: true,
			Config: credential.FilesHash(config), Preview: time.Minute.Milliseconds()})
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.Publish(t.Context(), same, config, store, nil)
		if err != nil || again.Preview == nil || again.Release != r.Release || again.Epoch != 2 {
			t.Errorf("of what is in force: %+v, %v", again, err)
		}
		time.Sleep(2 * time.Minute)
		if res, _ = get(t, f.Nodes[0], "/banner", "X-Farm-Preview", token); res.StatusCode != http.StatusGone {
			t.Errorf("after its time: %s", res.Status)
		}
		if res, _ = get(t, staging, "/banner", "X-Farm-Preview", token); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after its time, staging: %s", res.Status)
		}

		// A release that nobody can see is no preview.
		bad, err := key.Sign(credential.Order{Key: "2", Made: time.Now().UnixMilli(), Root: m.Root(), Hold: true, Program: "99.0.0",
			Preview: time.Minute.Milliseconds()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Publish(t.Context(), bad, nil, store, nil)
		if e, ok := errors.AsType[*order.ReleaseError](err); !ok || e.Kind != order.KindRefused ||
			!strings.Contains(e.Text, "cannot be previewed") {
			t.Errorf("%v", err)
		}
	})
}
