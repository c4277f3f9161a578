package content

import (
	"bufio"
	"compress/gzip"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// discard is a ResponseWriter that costs next to nothing, so that what is compared is the handlers.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// page is text of about so many bytes which compresses like a page does.
func page(n int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(`<a class="item" href="/shop/` + strconv.Itoa(rnd.IntN(1e6)) + `">` +
			strconv.Itoa(rnd.IntN(100)) + " pieces</a>\n")
	}
	return b.String()
}

// onDisk returns a folder public with a page, and a site of the same.
func onDisk(b *testing.B, size int) (dir string, site *Site) {
	b.Helper()
	dir = b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "public"), 0o755); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"page.html", "page.bin"} {
		if err := os.WriteFile(filepath.Join(dir, "public", name), []byte(page(size)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s := newFolder(b)
	m := pack(b, s, os.DirFS(dir), PackConfig{})
	return filepath.Join(dir, "public"), NewSite(m, s, SiteConfig{Cache: NewCache(0)}).As(Activation{ID: "r",
		Epoch: 1, Activated: activated})
}

// zipping compresses each response, as middleware does.
func zipping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(zipWriter{w, z}, r)
	})
}

type zipWriter struct {
	http.ResponseWriter
	z io.Writer
}

func (z zipWriter) Write(p []byte) (int, error) { return z.z.Write(p) }

// BenchmarkServe is the CPU of a request beside http.FileServer on the same files, without a network, and
// with the tags of a conditional request. Set is what it is with pins.
func BenchmarkServe(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "60KiB": 60 << 10, "1MiB": 1 << 20} {
		dir, site := onDisk(b, size)
		server := http.FileServer(http.Dir(dir))
		set := &Set{Active: site, Pins: &Pins{Signer: ring("k")}}
		tag := ask(site, "GET", "/page.html").Header.Get("Etag")
		for _, c := range []struct {
			name    string
			handler http.Handler
			target  string
			field   [2]string
		}{
			{"site", site, "/page.bin", [2]string{}},
			{"set", set, "/page.bin", [2]string{}},
			{"FileServer", server, "/page.bin", [2]string{}},
			{"site-gzip", site, "/page.html", [2]string{"Accept-Encoding", "gzip"}},
			{"site-zstd", site, "/page.html", [2]string{"Accept-Encoding", "gzip, deflate, br, zstd"}},
			{"gzip-on-the-fly", zipping(server), "/page.html", [2]string{"Accept-Encoding", "gzip"}},
			{"site-304", site, "/page.html", [2]string{"If-None-Match", tag}},
			{"FileServer-304", server, "/page.bin", [2]string{"If-Modified-Since", "Mon, 30 Nov 2037 08:00:00 GMT"}},
		} {
			b.Run(name+"/"+c.name, func(b *testing.B) {
				r, err := http.NewRequest("GET", c.target, nil)
				if err != nil {
					b.Fatal(err)
				}
				if c.field[0] != "" {
					r.Header.Set(c.field[0], c.field[1])
				}
				b.ReportAllocs()
				for b.Loop() {
					c.handler.ServeHTTP(&discard{make(http.Header)}, r)
				}
			})
		}
	}
}

// BenchmarkServeTCP is the same over a connection, where large files are sent by the system: real time, and
// the processors' time of server and client together.
func BenchmarkServeTCP(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "60KiB": 60 << 10, "1MiB": 1 << 20} {
		dir, site := onDisk(b, size)
		server := http.FileServer(http.Dir(dir))
		for _, c := range []struct {
			name    string
			handler http.Handler
			request string
		}{
			{"site", site, "GET /page.bin"},
			{"FileServer", server, "GET /page.bin"},
			{"site-gzip", site, "GET /page.html"},
			{"gzip-on-the-fly", zipping(server), "GET /page.html"},
		} {
			b.Run(name+"/"+c.name, func(b *testing.B) { overTCP(b, c.handler, c.request) })
		}
	}
}

func overTCP(b *testing.B, h http.Handler, request string) {
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	text := []byte(request + " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	answers, buf := bufio.NewReaderSize(conn, 64<<10), make([]byte, 64<<10)
	before, count := processorTime(), 0
	for b.Loop() {
		count++
		if _, err := conn.Write(text); err != nil {
			b.Fatal(err)
		}
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buf); err != nil ||
			r.StatusCode != 200 {
			b.Fatal(r.StatusCode, err)
		}
	}
	b.ReportMetric(float64(processorTime()-before)/float64(count), "cpu-ns/op")
}

// large returns a manifest of n files as they are on a big site.
func large(b *testing.B, n int) *Manifest {
	b.Helper()
	list := make([]File, n)
	for i := range list {
		list[i] = plain("public/section"+strconv.Itoa(i%100)+"/article"+strconv.Itoa(i)+".html", 10000)
		for _, e := range []string{"gzip", "zstd"} {
			v := plain(list[i].Path+e, 3000)
			list[i].Variants = append(list[i].Variants, Variant{Encoding: e, Hash: v.Hash, Size: v.Size})
		}
	}
	m, err := New(list, nil, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkParse(b *testing.B) {
	text := large(b, 10_000).Encode()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStage is what a node does for each release once: not at the switch.
func BenchmarkStage(b *testing.B) {
	m := large(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		NewSite(m, nil, SiteConfig{})
	}
}

func BenchmarkReadFile(b *testing.B) {
	s := newFolder(b)
	fsys := NewFS(pack(b, s, files(map[string]string{"templates/a.tmpl": long}), PackConfig{}), s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fs.ReadFile(fsys, "templates/a.tmpl"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPack is a site of 200 pages, published for the first time and again.
func BenchmarkPack(b *testing.B) {
	texts := make(map[string]string)
	for i := range 200 {
		texts["public/"+strconv.Itoa(i)+".html"] = page(10<<10) + strconv.Itoa(i)
	}
	s := newFolder(b)
	first := pack(b, s, files(texts), PackConfig{})
	for name, previous := range map[string]*Manifest{"first": nil, "again": first} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pack(b, s, files(texts), PackConfig{Previous: previous})
			}
		})
	}
}
