package content

import (
	"strings"
	"testing"
	"time"
)

const (
	earlier = "Mon, 30 Nov 2026 08:00:00 GMT"
	later   = "Mon, 30 Nov 2026 08:00:02 GMT"
)

func TestConditions(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.txt": long, "public/index.html": "<p>"},
		SiteConfig{Cache: NewCache(0)})
	plain := ask(site, "GET", "/a.txt").Header.Get("Etag")
	gz := ask(site, "GET", "/a.txt", "Accept-Encoding: gzip").Header.Get("Etag")
	zst := ask(site, "GET", "/a.txt", "Accept-Encoding: zstd").Header.Get("Etag")
	all := "Accept-Encoding: gzip, zstd"
	for _, c := range []struct {
		fields string
		status int
		etag   string
	}{
		{all, 200, zst},
		{"If-None-Match: " + plain, 304, plain},
		{"If-None-Match: W/" + plain, 304, plain},
		{"If-None-Match: \"x\", " + plain, 304, plain},
		{"If-None-Match: \"x\"|If-None-Match: " + plain, 304, plain},
		{"If-None-Match: \"x\",,\t" + plain + " , \"y\"", 304, plain},
		{"If-None-Match: *", 304, plain},
		{"If-None-Match: \"x\"", 200, plain},
		{"If-None-Match: " + strings.Trim(plain, `"`), 200, plain},
		{"If-None-Match: \"x, " + plain, 200, plain},
		{"If-None-Match: \"", 200, plain},
		// Whoever accepts what he has, keeps it; whoever does not, does not.
		{all + "|If-None-Match: " + gz, 304, gz},
		{all + "|If-None-Match: " + gz + ", " + zst, 304, gz},
		{all + "|If-None-Match: " + plain, 304, plain},
		{"Accept-Encoding: gzip|If-None-Match: " + zst, 200, gz},
		{"If-None-Match: " + gz, 200, plain},
		{all + "|If-None-Match: *", 304, zst},
		{"If-Match: " + plain, 200, plain},
		{"If-Match: *", 200, plain},
		{"If-Match: W/" + plain, 412, plain},
		{"If-Match: \"x\"", 412, plain},
		{all + "|If-Match: " + gz, 200, gz},
		{"If-Modified-Since: " + lastModified, 304, plain},
		{"If-Modified-Since: " + later, 304, plain},
		{"If-Modified-Since: " + earlier, 200, plain},
		{"If-Modified-Since: yesterday", 200, plain},
		{"If-None-Match: \"x\"|If-Modified-Since: " + later, 200, plain}, // the tag is what counts
		{"If-Unmodified-Since: " + earlier, 412, plain},
		{"If-Unmodified-Since: " + lastModified, 200, plain},
		{"If-Match: " + plain + "|If-Unmodified-Since: " + earlier, 200, plain},
		{"If-Match: " + plain + "|If-None-Match: " + plain, 304, plain},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := ask(site, method, "/a.txt", strings.Split(c.fields, "|")...)
			want := headers(r, "Etag", "Vary", "Cache-Control", "Last-Modified")
			b := body(t, r)
			if r.StatusCode != c.status || r.Header.Get("Etag") != c.etag || r.Header.Get("Vary") == "" ||
				r.Header.Get("Last-Modified") != lastModified ||
				r.Header.Get("Cache-Control") != "no-cache" || (b == "") == (c.status == 200 && method == "GET") {
				t.Errorf("%s %s: %s", method, c.fields, want)
			}
			if c.status != 200 && (r.Header.Get("Content-Length") != "" || r.Header.Get("Content-Encoding") != "") {
				t.Errorf("%s %s: %v", method, c.fields, r.Header)
			}
		}
	}
	if r := ask(site, "GET", "/missing", "If-None-Match: *"); r.StatusCode != 404 {
		t.Errorf("%d", r.StatusCode)
	}
}

// After a switch, what has changed is sent, what has not is not, and a date of before is of before.
func TestConditionsAfterSwitch(t *testing.T) {
	store := newFolder(t)
	first := pack(t, store, files(map[string]string{"public/a.txt": "one", "public/b.txt": "same"}),
		PackConfig{})
	second := pack(t, store, files(map[string]string{"public/a.txt": "two", "public/b.txt": "same"}),
		PackConfig{})
	old := NewSite(first, store, SiteConfig{}).As(Activation{ID: "r1", Epoch: 1, Activated: activated})
	switched := NewSite(second, store, SiteConfig{}).As(Activation{ID: "r2", Epoch: 2,
		Activated: activated.Add(time.Second)})
	back := NewSite(first, store, SiteConfig{}).As(Activation{ID: "r1", Epoch: 3,
		Activated: activated.Add(2 * time.Second)})
	a, b := ask(old, "GET", "/a.txt"), ask(old, "GET", "/b.txt")
	for _, c := range []struct {
		site   *Site
		target string
		field  string
		status int
	}{
		{switched, "/a.txt", "If-None-Match: " + a.Header.Get("Etag"), 200},
		{switched, "/b.txt", "If-None-Match: " + b.Header.Get("Etag"), 304},
		{switched, "/a.txt", "If-Modified-Since: " + a.Header.Get("Last-Modified"), 200},
		{back, "/a.txt", "If-None-Match: " + a.Header.Get("Etag"), 304},
		{back, "/a.txt", "If-Modified-Since: " + ask(switched, "GET", "/a.txt").Header.Get("Last-Modified"), 200},
	} {
		if r := ask(c.site, "GET", c.target, c.field); r.StatusCode != c.status {
			t.Errorf("%s %s: %d", c.target, c.field, r.StatusCode)
		}
	}
	if r := ask(NewSite(first, store, SiteConfig{}), "GET", "/a.txt",
		"If-Modified-Since: "+later); r.StatusCode != 200 || r.Header.Get("Last-Modified") != "" {
		t.Errorf("a site that is not in force: %v", r.Header)
	}
}

// Two nodes with stores of their own give the same answers, to the byte of each header.
func TestNodesAgree(t *testing.T) {
	texts := map[string]string{"public/a.txt": long, "public/index.html": long, "public/dir/index.html": "<p>",
		"public/404.html": "no"}
	one, _ := newSite(t, texts, SiteConfig{Cache: NewCache(0)})
	two, _ := newSite(t, texts, SiteConfig{})
	for _, target := range []string{"/", "/a.txt", "/dir", "/dir/", "/none"} {
		for _, accept := range []string{"", "gzip", "zstd, gzip"} {
			a, b := ask(one, "GET", target, "Accept-Encoding: "+accept), ask(two, "GET", target,
				"Accept-Encoding: "+accept)
			names := []string{"Etag", "Last-Modified", "Content-Type", "Content-Length", "Content-Encoding", "Vary",
				"Cache-Control", "Location"}
			if headers(a, names...) != headers(b, names...) || body(t, a) != body(t, b) {
				t.Errorf("%s: %v and %v", target, a.Header, b.Header)
			}
		}
	}
}
