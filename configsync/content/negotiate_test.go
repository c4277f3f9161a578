package content

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNegotiation(t *testing.T) {
	site, m := newSite(t, map[string]string{"public/a.txt": long, "public/b.bin": long}, SiteConfig{})
	f, _ := m.Lookup("public/a.txt")
	if len(f.Variants) != 2 || f.Variants[1].Size >= f.Variants[0].Size {
		t.Fatalf("zstd is expected to be smallest: %+v", f.Variants)
	}
	for accept, want := range map[string]string{
		"none":                               "",
		"":                                   "",
		"gzip":                               "gzip",
		"x-gzip":                             "gzip",
		"GZIP":                               "gzip",
		"gzip, deflate, br, zstd":            "zstd",
		"gzip, deflate, br":                  "gzip",
		"deflate, br":                        "",
		"zstd;q=0.5, gzip":                   "gzip",
		"zstd;q=0.5, gzip;q=0.8, *;q=0.1":    "gzip",
		"zstd ; q=0.5 ,\tgzip;Q=0.501":       "gzip",
		"gzip;q=0, zstd":                     "zstd",
		"gzip;q=0":                           "",
		"gzip;q=0.5, identity":               "",
		"gzip;q=0.5, identity;q=0.4":         "gzip",
		"identity;q=0.001, gzip;q=0.001":     "gzip",
		"*":                                  "gzip", // whoever reads all reads gzip rather than what came later
		"*;q=0":                              "406",
		"identity;q=0":                       "406",
		"identity;q=0, deflate":              "406",
		"identity;q=0, *":                    "gzip",
		"*;q=0, identity":                    "",
		"*;q=0, gzip":                        "gzip",
		"gzip, *":                            "gzip",
		"gzip;q=0, *":                        "zstd",
		"gzip;q=2, zstd;q=1.0000, br;q=-1":   "", // weights that are none
		"gzip;q=0.0001":                      "",
		"gzip;q=":                            "",
		"gzip;level=9":                       "",
		"gzip;q=1.001, identity;q=.5, , ;,;": "",
		"gzip;q=0.|identity;q=0.9|zstd;q=1.": "zstd",
	} {
		var fields []string
		for line := range strings.SplitSeq(accept, "|") {
			if accept != "none" {
				fields = append(fields, "Accept-Encoding: "+line)
			}
		}
		r := ask(site, "GET", "/a.txt", fields...)
		got := r.Header.Get("Content-Encoding")
		if r.StatusCode != 200 {
			got = "406"
		}
		if got != want || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %q and not %q; Vary %q", accept, got, want, r.Header["Vary"])
		}
		if r := ask(site, "GET", "/b.bin", fields...); r.StatusCode != 200 ||
			len(r.Header["Vary"])+len(r.Header["Content-Encoding"]) > 0 {
			t.Errorf("%q: what has no variants is not negotiated about: %v", accept, r.Header)
		}
	}
	tags := map[string]bool{}
	for encoding, end := range map[string]string{"identity": `"`, "gzip": `-gz"`, "zstd": `-zst"`} {
		for _, method := range []string{"GET", "HEAD"} {
			r := ask(site, method, "/a.txt", "Accept-Encoding: "+encoding)
			tag := r.Header.Get("Etag")
			hash := f.Hash
			for _, v := range f.Variants {
				if v.Encoding == encoding {
					hash = v.Hash
				}
			}
			if !strings.HasPrefix(tag, `"`+hash.String()[:22]) || !strings.HasSuffix(tag, end) || int64(len(body(t,
				r))) != r.ContentLength && method == "GET" {
				t.Errorf("%s: %v", encoding, r.Header)
			}
			tags[tag] = true
		}
	}
	if len(tags) != 3 {
		t.Errorf("two variants have the same tag: %v", tags)
	}
}

func TestVaryIsAddedTo(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.txt": long}, SiteConfig{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Cookie")
		w.Header().Set("Cache-Control", "no-store")
		site.ServeHTTP(w, r)
	})
	if r := ask(h, "GET", "/a.txt"); headers(r, "Vary",
		"Cache-Control") != `200 Vary="Cookie|Accept-Encoding" Cache-Control="no-store"` {
		t.Error(headers(r, "Vary", "Cache-Control"))
	}
	if r := ask(site, "GET", "/a.txt"); headers(r, "Vary") != `200 Vary="Accept-Encoding"` {
		t.Error(headers(r, "Vary"))
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"", "gzip", "*;q=0", "identity;q=0.5, *;q=0.001", "gzip;q=1.000,zstd ; q=0",
		";,;q=,q=1", "br;q=0.12345"} {
		f.Add(s)
	}
	site, _ := newSite(f, map[string]string{"public/a.txt": long}, SiteConfig{Cache: NewCache(0)})
	f.Fuzz(func(t *testing.T, accept string) {
		r := httptest.NewRequest("GET", "/a.txt", nil)
		r.Header["Accept-Encoding"] = []string{accept}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		got := w.Header().Get("Content-Encoding")
		if w.Code != 200 && w.Code != 406 || got != "" && !strings.Contains(accept, "*") &&
			!strings.Contains(strings.ToLower(accept), got) {
			t.Fatalf("%d, %q", w.Code, got)
		}
		want := readWanted(r.Header)
		for _, n := range append(want.weight[:], want.others) {
			if n < unsaid || n > 1000 {
				t.Fatalf("%+v", want)
			}
		}
	})
}
