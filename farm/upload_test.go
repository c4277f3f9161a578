package farm_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
)

// balancer is a proxy in front of a farm that sends each request to the next node, and says over what it
// came.
type balancer struct {
	nodes  []*farmtest.Node
	scheme string
	n      atomic.Uint64
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	n := b.nodes[int(b.n.Add(1))%len(b.nodes)]
	to, err := url.Parse(n.URL())
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = to.Scheme, to.Host
	out.Header.Set("X-Forwarded-Proto", b.scheme)
	out.Header.Set("X-Forwarded-For", "203.0.113.5")
	return n.Client().Transport.RoundTrip(out)
}

// TestPublicUpload: whoever holds a credential publishes through the public port of any node, though a
// balancer sends each request of an upload to another one; over HTTPS alone; and not when the credential is
// revoked, by any node.
func TestPublicUpload(t *testing.T) {
	t.Parallel()
	c := farmtest.Config{Handler: banner, Configure: func(_ *farmtest.Node, c *farm.Config) {
		c.Configs, c.PublishPath = []configsync.Declared{siteOf}, "/publish"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		store, err := blob.OpenStore(blob.StoreConfig{Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		m := manifestOf(t, store, "one", "two")
		key, err := credential.NewKey("farmtest", "ci", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		name := f.Nodes[0].Farm().Configs()
		if err := name.Mint(t.Context(), configsync.Mint{Public: key.Public(), Name: "ci",
			NotAfter: key.NotAfter}); err != nil {
			t.Fatal(err)
		}
		config := configsync.Files{"site.yaml": "banner: Spring\n"}
		nodes := f.Nodes
		publishOver := func(scheme, id string) (order.ReleaseResult, error) {
			s, err := key.Sign(credential.Order{Key: id, Made: time.Now().UnixMilli(), Root: m.Root(),
				Config: credential.FilesHash(config)})
			if err != nil {
				t.Fatal(err)
			}
			client := &publish.Client{URL: "http://www.example.com/publish",
				HTTP: &http.Client{Transport: &balancer{nodes: nodes, scheme: scheme}}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return client.Publish(ctx, s, config, store, nil)
		}
		wantKind := func(kind, says string, err error) {
			t.Helper()
			e, ok := errors.AsType[*order.ReleaseError](err)
			if !ok || e.Kind != kind || !strings.Contains(e.Text, says) {
				t.Errorf("%+v; want %s, %q", err, kind, says)
			}
		}
		_, err = publishOver("http", "1")
		wantKind(order.KindRefused, "-trusted-proxies", err)
		if r, err := publishOver("https", "2"); err != nil || r.Epoch != 1 || r.Before != 0 || len(r.Unconfirmed) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, n := range f.Nodes {
			if got := said(t, n, "/"); got != "Spring" {
				t.Errorf("%s says %s", n, got)
			}
		}
		// A node that is away is named, and the release before too.
		f.Nodes[2].Kill()
		nodes, config = f.Nodes[:2], configsync.Files{"site.yaml": "banner: Summer\n"}
		if r, err := publishOver("https", "2b"); err != nil || r.Epoch != 2 || !slices.Equal(r.Unconfirmed, []string{"n3"}) ||
			r.Before != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		f.Nodes[2].Restart()
		f.Settle()
		nodes = f.Nodes
		if err := f.Nodes[2].Farm().Configs().Revoke(t.Context(), key.ID(), "bob", "leaked"); err != nil {
			t.Fatal(err)
		}
		for range f.Nodes {
			_, err = publishOver("https", "3")
			wantKind(order.KindUnauthorized, "revoked", err)
		}
		if got := said(t, f.Nodes[0], "/publishing"); got != "Summer" {
			t.Errorf("a path that only begins like that of publishing: %s", got)
		}
	})
}

// manifestOf makes a content of files, whose blobs are put into a store.
func manifestOf(t *testing.T, store *blob.Store, texts ...string) *content.Manifest {
	t.Helper()
	var files []content.File
	for _, text := range texts {
		h, err := store.Put(t.Context(), blob.Hash{}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, content.File{Path: "public/" + text + ".txt", Hash: h, Size: int64(len(text)),
			Type: "text/plain; charset=utf-8"})
	}
	m, err := content.New(files, nil, content.Limits{})
	if err == nil {
		_, err = store.Put(t.Context(), m.Root(), bytes.NewReader(m.Encode()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPublishPath(t *testing.T) {
	for _, path := range []string{"/", "publish", "/publish/", "/a?b", "https://x/publish"} {
		f, err := farm.Open(farm.Config{PublishPath: path, HTTP: farm.None, Admin: farm.None})
		if err == nil || !strings.Contains(err.Error(), "PublishPath") {
			t.Errorf("%q: %v", path, err)
		}
		if f != nil {
			f.Close()
		}
	}
}
