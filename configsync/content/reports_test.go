package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// What users of other web servers and deployment tools have reported of them, tried here. Each names a report.

// Each representation of a file has a tag of its own, and a strong one, so that no cache and no resumed download
// mixes two of them (hapijs/inert#7, h2o/h2o#2896, caddyserver/caddy#1753).
func TestTagsOfRepresentations(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.css": long}, SiteConfig{})
	tags := map[string]string{}
	for _, accepts := range []string{"identity", "gzip", "zstd"} {
		r := ask(site, "GET", "/a.css", "Accept-Encoding: "+accepts)
		tag := r.Header.Get("Etag")
		if r.Header.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(tag, `"`) || tags[tag] != "" {
			t.Errorf("%s has the tag %s, as %s has; %v", accepts, tag, tags[tag], r.Header)
		}
		tags[tag] = accepts
	}
}

// A proxy that has compressed an answer makes its tag weak. A browser that sends it back gets its 304
// (jshttp/fresh#17, hapijs/hapi#3956, gocd/gocd#2247).
func TestTagThatAProxyMadeWeak(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.css": long}, SiteConfig{})
	tag := ask(site, "GET", "/a.css").Header.Get("Etag")
	r := ask(site, "GET", "/a.css", "If-None-Match: W/"+tag)
	if r.StatusCode != 304 || r.Header.Get("Etag") != tag || body(t, r) != "" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// The tag is of what is in the file, and of nothing else: not of its time, which differs from server to server, and
// not of its length, which may stay the same (expressjs/express#2445, cloudhead/node-static#158,
// aspnet/StaticFiles#159).
func TestTagIsOfTheContent(t *testing.T) {
	tagOf := func(text string, modified int64) string {
		s := newFolder(t)
		fsys := fstest.MapFS{"public/a.js": {Data: []byte(text), ModTime: time.Unix(modified, 0)}}
		return ask(NewSite(pack(t, s, fsys, PackConfig{}), s, SiteConfig{}), "GET", "/a.js").Header.Get("Etag")
	}
	if one, other := tagOf("price=1", 1e9), tagOf("price=1", 2e9); one != other {
		t.Errorf("%s on a server, %s on another one", one, other)
	}
	if one, other := tagOf("price=1", 1e9), tagOf("price=2", 1e9); one == other {
		t.Errorf("%s for both", one)
	}
}

// A download is gone on with only if nothing has changed, which a weak tag or a date cannot say for sure
// (aio-libs/aiohttp#13480, oven-sh/bun#43571, mdn/content#12622).
func TestResumedDownload(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.bin": "abcdef"}, SiteConfig{})
	tag := ask(site, "GET", "/a.bin").Header.Get("Etag")
	for since, want := range map[string]int{tag: 206, "W/" + tag: 200, `"another"`: 200, lastModified: 200,
		"Thu, 01 Jan 1970 00:00:00 GMT": 200, "": 200} {
		r := ask(site, "GET", "/a.bin", "Range: bytes=3-", "If-Range: "+since)
		text := map[int]string{206: "def", 200: "abcdef"}[want]
		if got := body(t, r); r.StatusCode != want || got != text {
			t.Errorf("If-Range: %s: %d %q", since, r.StatusCode, got)
		}
	}
	twice := ask(site, "GET", "/a.bin", "Range: bytes=3-", "If-Range: "+tag, "If-Range: "+tag)
	if twice.StatusCode != 200 {
		t.Errorf("If-Range twice: %d", twice.StatusCode)
	}
}

// A player that can use no compressed bytes gets none (tkoenig89/express-static-gzip#37,
// filebrowser/filebrowser#5750), and what is chosen has the name that browsers know
// (static-web-server/static-web-server#451). A file that comes compressed is itself, and not compressed again
// (static-web-server/static-web-server#470).
func TestEncodingsThatAreMeant(t *testing.T) {
	zip := string(zipped(t, []byte(long)))
	site, _ := newSite(t, map[string]string{"public/a.css": long, "public/a.css.gz": zip}, SiteConfig{})
	for accepts, want := range map[string]string{"identity;q=1, *;q=0": "", "identity": "", "*;q=0, identity;q=0.5": "",
		"gzip;q=0": "", "GZIP": "gzip", "zstd": "zstd", "gzip, zstd;q=0": "gzip"} {
		r := ask(site, "GET", "/a.css", "Accept-Encoding: "+accepts)
		if got := r.Header.Get("Content-Encoding"); r.StatusCode != 200 || got != want {
			t.Errorf("%s: %d %q", accepts, r.StatusCode, got)
		}
	}
	r := ask(site, "GET", "/a.css.gz", "Accept-Encoding: gzip, zstd")
	if r.Header.Get("Content-Encoding") != "" || body(t, r) != zip {
		t.Errorf("%v", r.Header)
	}
}

// The same file in two releases can be compressed by two versions. These are two representations (RFC 9110, 8.8.3): a
// download that was begun in one release is not gone on with in the other, and what is not compressed is.
func TestCompressedAnew(t *testing.T) {
	var sites []*Site
	for _, level := range []int{gzip.BestSpeed, gzip.BestCompression} {
		store := newFolder(t)
		var zip bytes.Buffer
		w, err := gzip.NewWriterLevel(&zip, level)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, long)
		w.Close()
		text, err := store.Put(t.Context(), blob.Hash{}, strings.NewReader(long))
		if err != nil {
			t.Fatal(err)
		}
		v := Variant{Encoding: "gzip", Size: int64(zip.Len())}
		if v.Hash, err = store.Put(t.Context(), blob.Hash{}, &zip); err != nil {
			t.Fatal(err)
		}
		m, err := New([]File{{Path: "public/a.css", Hash: text, Size: int64(len(long)), Type: "text/css; charset=utf-8",
			Variants: []Variant{v}}}, nil, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, NewSite(m, store, SiteConfig{}).As(Activation{ID: "r1", Epoch: 1, Activated: activated}))
	}
	for encoding, status := range map[string]int{"gzip": 200, "identity": 206} {
		accepts := "Accept-Encoding: " + encoding
		first := ask(sites[0], "GET", "/a.css", accepts).Header.Get("Etag")
		r := ask(sites[1], "GET", "/a.css", accepts, "Range: bytes=10-", "If-Range: "+first)
		if whole := body(t, ask(sites[1], "GET", "/a.css", accepts)); r.StatusCode != status ||
			status == 200 && body(t, r) != whole {
			t.Errorf("%s: %d, want %d", encoding, r.StatusCode, status)
		}
		if r := ask(sites[1], "GET", "/a.css", accepts, "If-Match: "+first); encoding == "gzip" && r.StatusCode != 412 {
			t.Errorf("If-Match: %d", r.StatusCode)
		}
	}
}

// A part of a file is a part of what was chosen, and its length is that of what is sent; a client that did not ask for
// compressed bytes gets a part of the file itself (nytimes/gziphandler#83, psf/requests#2632, curl/curl#1699).
func TestPartOfACompressedFile(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.css": long}, SiteConfig{})
	whole := ask(site, "GET", "/a.css", "Accept-Encoding: gzip")
	text := body(t, whole)
	r := ask(site, "GET", "/a.css", "Accept-Encoding: gzip", "Range: bytes=-5")
	if got := body(t, r); r.StatusCode != 206 || r.Header.Get("Content-Encoding") != "gzip" ||
		got != text[len(text)-5:] || r.Header.Get("Content-Length") != "5" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	r = ask(site, "GET", "/a.css", "Range: bytes=-5")
	if got := body(t, r); r.StatusCode != 206 || r.Header.Get("Content-Encoding") != "" || got != long[len(long)-5:] {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// A chunk that is not there is not answered by a page: what is no script is not to be run as one, nor kept
// (gregberge/loadable-components#340, excalidraw/excalidraw#7625).
func TestChunkThatIsNotThere(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/index.html": "x", "public/app.3f2a9c1b.js": "y"}, SiteConfig{})
	r := ask(site, "GET", "/app.aaaa9c1b.js")
	if r.StatusCode != http.StatusNotFound || strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// macOS puts a file ._site beside the folder site, and others within. They are no part of the site, and the site is
// found all the same (libarchive/libarchive#2010, twpayne/chezmoi#3220, Osmantic/ODS#5765).
func TestArchiveOfAMac(t *testing.T) {
	for _, root := range []string{"site/", "./"} {
		beside := strings.TrimSuffix(root, "/")
		list := []tar.Header{{Name: root + "public/._a.html"}, {Name: root + "public/a.html"}, {Name: root + "._public"}}
		if beside == "site" {
			list = append([]tar.Header{{Name: "._site"}}, list...)
		} else {
			list = append([]tar.Header{{Name: "./._."}}, list...)
		}
		a, err := ReadTar(t.Context(), bytes.NewReader(entries(t, list...)), t.TempDir(), Limits{})
		if err != nil {
			t.Errorf("%s: %v", root, err)
			continue
		}
		m := pack(t, newFolder(t), a, PackConfig{})
		if len(m.Files) != 1 || m.Files[0].Path != "public/a.html" {
			t.Errorf("%s: %+v", root, m.Files)
		}
		a.Close()
	}
}

// An archive that git has made begins with an entry that is no file (mholt/archiver#27, hashicorp/go-extract#40,
// juju/utils#160).
func TestArchiveOfGit(t *testing.T) {
	var b bytes.Buffer
	global := tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "2a59559"}}
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&global), w.Flush()); err != nil {
		t.Fatal(err)
	}
	b.Write(entries(t, tar.Header{Name: "site/public/a.html"}))
	a, err := ReadTar(t.Context(), &b, t.TempDir(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if all, err := fs.Glob(a, "*"); err != nil || len(all) != 1 || all[0] != "public" {
		t.Errorf("%v, %v", all, err)
	}
}

// What would be left out does not have the rest refused, in an archive as in a folder: node_modules/.bin is full of
// links (cloudfoundry/cli#1299, microsoft/vscode-azureappservice#312). A link that would be published is refused
// (markokr/rarfile#114, weichsel/ZIPFoundation#282), and so is what leads out of the folder.
func TestLinksThatNobodyWants(t *testing.T) {
	link := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "../mime/cli.js"}
	}
	page := tar.Header{Name: "site/public/a.html"}
	b := entries(t, page, link("site/node_modules/.bin/mime"), link("site/public/.git/hooks"))
	a, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if m := pack(t, newFolder(t), a, PackConfig{}); len(m.Files) != 1 {
		t.Errorf("%+v", m.Files)
	}
	for _, name := range []string{"site/public/b", "site/public/.well-known/b", "site/node_modules/../public/b"} {
		b := entries(t, page, link(name))
		_, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// macOS may write a name in another normal form than the links to it; that is said before it is a 404
// (nodejs/node#2165, spacechunks/explorer#310, renpy/renpy#2327).
func TestNameOfAMac(t *testing.T) {
	b := entries(t, tar.Header{Name: "public/u\u0308ber.html"})
	_, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
	if err == nil || !strings.Contains(err.Error(), `normal form C, which is "public/über.html"`) {
		t.Error(err)
	}
}

// Well-known files without an ending are JSON if they look like it (aws-amplify/amplify-hosting#713), and what the
// program says of a type stays.
func TestTypesWithoutEnding(t *testing.T) {
	site, _ := newSite(t, map[string]string{
		"public/apple-app-site-association": "\n{}", "public/.well-known/openid-configuration": "[]",
		"public/.well-known/notes": "words", "public/data": "{}", "public/404.html": "<p>none"}, SiteConfig{})
	for target, want := range map[string]string{
		"/apple-app-site-association": "application/json", "/.well-known/openid-configuration": "application/json",
		"/.well-known/notes": "text/plain; charset=utf-8", "/data": "text/plain; charset=utf-8"} {
		if got := ask(site, "GET", target).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	for target, want := range map[string]string{"/data": "application/x-own", "/none": "text/html; charset=utf-8"} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/x-own")
		site.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("%s, whose type the program has set: %s, want %s", target, got, want)
		}
	}
}

// An .svgz file is SVG, and compressed for whoever asks (simple-web-server#282). What is only called so is refused.
func TestCompressedSVG(t *testing.T) {
	packed := string(zipped(t, []byte("<svg>"+long+"</svg>")))
	site, _ := newSite(t, map[string]string{"public/a.SVGZ": packed}, SiteConfig{})
	for _, accepts := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity", "X: none"} {
		r := ask(site, "GET", "/a.SVGZ", accepts)
		if h := r.Header; r.StatusCode != 200 || h.Get("Content-Type") != "image/svg+xml" ||
			h.Get("Content-Encoding") != "gzip" || h.Get("Vary") != "" || body(t, r) != packed {
			t.Errorf("%s: %d %v", accepts, r.StatusCode, h)
		}
	}
	r := ask(site, "GET", "/a.SVGZ", "Range: bytes=2-4")
	if r.Header.Get("Content-Encoding") != "gzip" || body(t, r) != packed[2:5] {
		t.Errorf("a range: %v", r.Header)
	}
	_, err := Pack(t.Context(), files(map[string]string{"public/a.svgz": "<svg/>"}), newFolder(t), PackConfig{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "call it .svg") {
		t.Errorf("no gzip in it: %v", err)
	}
}
