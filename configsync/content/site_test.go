package content

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSite(t *testing.T) {
	site, m := newSite(t, map[string]string{
		"public/index.html": "<h1>home</h1>", "public/docs/index.html": "<h1>docs</h1>",
		"public/docs/a b.txt":    "a b",
		"public/app.3f2a9c1b.js": "let a", "public/404.html": "nothing here", "templates/secret.tmpl": "{{.}}",
	}, SiteConfig{Cache: NewCache(0)})
	html, js, text := "text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/plain; charset=utf-8"
	for _, c := range []struct {
		method, target string
		status         int
		kind, cache    string
		body           string
	}{
		{"GET", "/", 200, html, "no-cache", "<h1>home</h1>"},
		{"GET", "/index.html", 200, html, "no-cache", "<h1>home</h1>"},
		{"HEAD", "/", 200, html, "no-cache", ""},
		{"GET", "/docs/", 200, html, "no-cache", "<h1>docs</h1>"},
		{"GET", "/docs/a%20b.txt?x=1", 200, text, "no-cache", "a b"},
		{"GET", "/docs%2Fa%20b.txt", 200, text, "no-cache", "a b"},
		{"GET", "/app.3f2a9c1b.js", 200, js, "public, max-age=31536000, immutable", "let a"},
		{"GET", "/missing", 404, html, "no-cache", "nothing here"},
		{"GET", "/../templates/secret.tmpl", 404, html, "no-cache", "nothing here"},
		{"GET", "/%2e%2e/templates/secret.tmpl", 404, html, "no-cache", "nothing here"},
		{"GET", "//index.html", 404, html, "no-cache", "nothing here"},
		{"GET", "/docs/../index.html", 404, html, "no-cache", "nothing here"},
		{"GET", "/index.html/", 404, html, "no-cache", "nothing here"},
		{"GET", "/docs//", 404, html, "no-cache", "nothing here"},
		{"GET", "/DOCS/", 404, html, "no-cache", "nothing here"},
		{"POST", "/", 405, text, "", "Method Not Allowed\n"},
		{"OPTIONS", "/", 405, text, "", "Method Not Allowed\n"},
	} {
		r := ask(site, c.method, c.target)
		b := body(t, r)
		if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.kind ||
			r.Header.Get("Cache-Control") != c.cache || b != c.body {
			t.Errorf("%s %s: %v %q", c.method, c.target, r.Header, b)
		}
		f, ok := m.Lookup("public" + c.target)
		if ok && c.status == 200 && (r.Header.Get("Etag") != `"`+f.Hash.String()[:22]+`"` ||
			r.Header.Get("Last-Modified") != lastModified) {
			t.Errorf("%s: %v", c.target, r.Header)
		}
	}
	if r := ask(site, "POST", "/"); r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%v", r.Header)
	}
	for target, to := range map[string]string{"/docs": "./docs/", "/docs?a=1&b=2": "./docs/?a=1&b=2"} {
		if r := ask(site, "GET", target); r.StatusCode != http.StatusMovedPermanently ||
			r.Header.Get("Location") != to {
			t.Errorf("%s leads to %q", target, r.Header.Get("Location"))
		}
	}
}

// TestNotFoundInCaches: what is nothing here may be something in the next release. Who may keep an answer at all is as
// the program, or a pin, has said.
func TestNotFoundInCaches(t *testing.T) {
	plain, _ := newSite(t, map[string]string{"public/index.html": "home"}, SiteConfig{})
	page, _ := newSite(t, map[string]string{"public/404.html": "nothing here"}, SiteConfig{})
	for name, site := range map[string]*Site{"plain": plain, "page": page} {
		for said, want := range map[string]string{"": "no-cache", "public, max-age=60": "no-cache",
			"private, no-cache": "private, no-cache", "Private, max-age=60": "private, no-cache", "no-store": "no-store"} {
			w := httptest.NewRecorder()
			if said != "" {
				w.Header().Set("Cache-Control", said)
			}
			site.ServeHTTP(w, httptest.NewRequest("GET", "/missing", nil))
			if got := w.Header().Get("Cache-Control"); w.Code != 404 || got != want {
				t.Errorf("%s, %q: %d %q, and not %q", name, said, w.Code, got, want)
			}
		}
	}
}

func TestSiteRange(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.txt": long, "public/b.bin": "0123456789"},
		SiteConfig{Cache: NewCache(0)})
	tag := ask(site, "GET", "/b.bin").Header.Get("Etag")
	for _, c := range []struct {
		fields string
		status int
		body   string
	}{
		{"Range: bytes=2-4", 206, "234"},
		{"Range: bytes=-2", 206, "89"},
		{"Range: bytes=8-99", 206, "89"},
		{"Range: bytes=10-", 416, "invalid range: failed to overlap\n"},
		{"Range: bytes=2-4|If-Range: " + tag, 206, "234"},
		{"Range: bytes=2-4|If-Range: \"other\"", 200, "0123456789"},
		{"Range: bytes=2-4|If-Range: W/" + tag, 200, "0123456789"},
		{"Range: bytes=2-4|If-Range: " + lastModified, 200, "0123456789"}, // a date is no strong validator
		{"Range: bytes=2-4|If-None-Match: " + tag, 304, ""},
		{"Range: bytes=2-4|If-Match: \"other\"", 412, ""},
		{"Range: bytes=2-4,-0", 206, "234"},
		{"Range: bytes=-99", 206, "0123456789"},
		{"Range: bytes=-0", 416, "invalid range: failed to overlap\n"}, // golang/go#81262
		{"Range: bytes=-+0", 416, "invalid range: failed to overlap\n"},
		{"Range: bytes=- 0", 416, "invalid range: failed to overlap\n"},
		{"Range: bytes= -00 ", 416, "invalid range: failed to overlap\n"},
		{"Range: bytes=-99999999999999999999", 206, "0123456789"},
		{"Range: bytes=7-99999999999999999999", 206, "789"},
		{"Range: bytes=99999999999999999999-", 416, "invalid range: failed to overlap\n"},
		{"Range: bytes=--99999999999999999999", 416, "invalid range\n"},
		{"Range: bytes=-", 416, "invalid range\n"},
		{"Range: bytes=x", 416, "invalid range\n"},
		{"Range: Bytes=2-4", 206, "234"},        // golang/go#81508: units are of any case,
		{"Range: lines=2-4", 200, "0123456789"}, // and unknown ones are ignored
		{"Range: 2-4", 200, "0123456789"},
		{"Range: bytes=2-4|Range: bytes=5-6", 200, "0123456789"},
	} {
		r := ask(site, "GET", "/b.bin", strings.Split(c.fields, "|")...)
		if b := body(t, r); r.StatusCode != c.status || b != c.body {
			t.Errorf("%s: %d %q", c.fields, r.StatusCode, b)
		}
	}
	empty, _ := newSite(t, map[string]string{"public/none.bin": ""}, SiteConfig{})
	for _, set := range []string{"-5", "-0", "0-", "5-9"} {
		r := ask(empty, "GET", "/none.bin", "Range: bytes="+set)
		if r.StatusCode != 200 || r.Header.Get("Content-Length") != "0" {
			t.Errorf("%s of an empty file: %d %v", set, r.StatusCode, r.Header)
		}
	}
	if r := ask(site, "HEAD", "/b.bin", "Range: bytes=2-4"); r.StatusCode != 200 ||
		r.Header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: %d %v", r.StatusCode, r.Header)
	}
}
