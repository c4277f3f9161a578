package content

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// A range may begin and end anywhere in a file in chunks, over a real connection.
func TestRangeOverChunks(t *testing.T) {
	want := make([]byte, 3*ChunkSize+77)
	rand.NewChaCha8([32]byte{3}).Read(want)
	s := newFolder(t)
	site := NewSite(pack(t, s, fstest.MapFS{"public/v.mp4": {Data: want}}, PackConfig{}), s,
		SiteConfig{Cache: NewCache(0)})
	server := httptest.NewServer(site)
	defer server.Close()
	get := func(ranges string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v.mp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		if ranges != "" {
			r.Header.Set("Range", "bytes="+ranges)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	if r := get(""); r.StatusCode != 200 || r.ContentLength != int64(len(want)) || body(t, r) != string(want) {
		t.Errorf("whole: %d, %d bytes", r.StatusCode, r.ContentLength)
	}
	for _, c := range [][2]int{{0, 9}, {ChunkSize - 1, ChunkSize}, {ChunkSize - 7, 2*ChunkSize + 7},
		{2 * ChunkSize, 2 * ChunkSize}, {len(want) - 1, len(want) - 1}} {
		r := get(fmt.Sprintf("%d-%d", c[0], c[1]))
		if says := fmt.Sprintf("bytes %d-%d/%d", c[0], c[1], len(want)); r.StatusCode != 206 ||
			r.Header.Get("Content-Range") != says || body(t, r) != string(want[c[0]:c[1]+1]) {
			t.Errorf("%s: %d %v", says, r.StatusCode, r.Header)
		}
	}
	r := get(fmt.Sprintf("%d-%d,-5", ChunkSize-2, ChunkSize+1))
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	for _, part := range [][]byte{want[ChunkSize-2 : ChunkSize+2], want[len(want)-5:]} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, part) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// A range is of the representation that was chosen: what was begun compressed goes on compressed.
func TestRangeOfVariant(t *testing.T) {
	site, _ := newSite(t, map[string]string{"public/a.txt": long}, SiteConfig{Cache: NewCache(0)})
	whole := ask(site, "GET", "/a.txt", "Accept-Encoding: gzip")
	text, tag := body(t, whole), whole.Header.Get("Etag")
	for _, fields := range [][]string{
		{"Accept-Encoding: gzip", "Range: bytes=5-"},
		{"Accept-Encoding: gzip, zstd", "Range: bytes=5-", "If-Range: " + tag}, // zstd would be chosen otherwise
	} {
		r := ask(site, "GET", "/a.txt", fields...)
		if r.StatusCode != 206 || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Etag") != tag ||
			body(t, r) != text[5:] ||
			r.Header.Get("Content-Length") != fmt.Sprint(len(text)-5) {
			t.Errorf("%v: %d %v", fields, r.StatusCode, r.Header)
		}
	}
	if r := ask(site, "GET", "/a.txt", "Range: bytes=5-9"); r.StatusCode != 206 || body(t, r) != long[5:10] ||
		r.Header.Get("Content-Encoding") != "" {
		t.Errorf("identity: %d %v", r.StatusCode, r.Header)
	}
	if r := ask(site, "GET", "/a.txt", "Range: bytes=5-", "If-Range: "+tag); r.StatusCode != 200 || body(t,
		r) != long {
		t.Errorf("a part of what is not accepted: %d %v", r.StatusCode, r.Header)
	}
}

// What cannot be read is 503, which other nodes may do better, and is told; what breaks off on the way is
// seen by the client.
func TestBadBlobs(t *testing.T) {
	s := newFolder(t)
	big := strings.Repeat("0123456789", cachedSize/5)
	m := pack(t, s, files(map[string]string{"public/a.bin": "aaaa", "public/b.bin": "bbbb",
		"public/c.bin": "cccc", "public/d.bin": big}), PackConfig{})
	hash := func(p string) blob.Hash { f, _ := m.Lookup(p); return f.Hash }
	for p, data := range map[string]string{"public/a.bin": "aaab", "public/b.bin": "bbbbb"} {
		if err := os.WriteFile(s.name(hash(p)), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(s.name(hash("public/c.bin"))); err != nil {
		t.Fatal(err)
	}
	var told []string
	site := NewSite(m, s, SiteConfig{Cache: NewCache(0), Failed: func(p string, err error) {
		told = append(told,
			fmt.Sprint(p, ": ", err))
	}})
	for target, says := range map[string]string{"/a.bin": "has other bytes", "/b.bin": "has 5 bytes",
		"/c.bin": "no such file"} {
		for _, field := range []string{"X: ", "Range: bytes=0-1"} {
			told = nil
			r := ask(site, "GET", target, field)
			if b := body(t, r); r.StatusCode != 503 || r.Header.Get("Etag")+r.Header.Get("Last-Modified") != "" ||
				b != "Service Unavailable\n" || len(told) != 1 ||
				!strings.Contains(told[0], says) {
				t.Errorf("%s: %d %v %q %q", target, r.StatusCode, r.Header, b, told)
			}
		}
	}
	told = nil
	cut := NewSite(m, short{s}, site.cfg)
	server := httptest.NewServer(cut)
	defer server.Close()
	r, err := server.Client().Get(server.URL + "/d.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err == nil || len(b) >= len(big) {
		t.Errorf("a response of %d bytes of %d ends well", len(b), len(big))
	}
	server.Close()
	if len(told) != 1 || !strings.HasPrefix(told[0], "public/d.bin: ") {
		t.Error(told)
	}
}

// short is a store whose files end early.
type short struct{ *folder }

func (s short) Open(h blob.Hash) (blob.File, int64, error) {
	f, size, err := s.folder.Open(h)
	if err != nil {
		return nil, 0, err
	}
	b, err := io.ReadAll(io.LimitReader(f, size/2))
	f.Close()
	return section{io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}, size, err
}

// A cache keeps to its budget whatever is asked for, gives what it was asked for, and reads what is asked for
// often but once.
func TestCache(t *testing.T) {
	texts := make(map[string]string)
	for i := range 100 {
		texts[fmt.Sprintf("public/%d.bin", i)] = strings.Repeat(fmt.Sprint(i%10), 1000) + fmt.Sprint(i)
	}
	texts["public/large.bin"] = strings.Repeat("x", cachedSize+1)
	s := newFolder(t)
	m := pack(t, s, files(texts), PackConfig{})
	cache := NewCache(20_000)
	sites := []*Site{NewSite(m, s, SiteConfig{Cache: cache}), NewSite(m, s, SiteConfig{Cache: cache})}
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(c)))
			for i := range 500 {
				p := fmt.Sprintf("%d.bin", rnd.IntN(100))
				if i%2 == 0 {
					p = "7.bin"
				}
				r := ask(sites[i%2], "GET", "/"+p)
				if body(t, r) != texts["public/"+p] {
					t.Errorf("%s: %v", p, r.Header)
				}
				if n := cache.Bytes(); n > 20_000 {
					t.Errorf("%d bytes", n)
				}
			}
		})
	}
	clients.Wait()
	before := s.opens.Load()
	for range 10 {
		ask(sites[0], "GET", "/7.bin")
		ask(sites[1], "GET", "/7.bin")
	}
	if n := s.opens.Load() - before; n > 1 {
		t.Errorf("what is asked for most was read %d times more", n)
	}
	ask(sites[0], "GET", "/large.bin")
	if n := cache.Bytes(); n > 20_000 || len(cache.items) != len(cache.ring) || n != sum(cache) {
		t.Errorf("%d bytes, %d and %d items", n, len(cache.items), len(cache.ring))
	}
	none := NewSite(m, s, SiteConfig{Cache: NewCache(-1)})
	if r := ask(none, "GET", "/7.bin"); body(t, r) != texts["public/7.bin"] {
		t.Error("without room in memory")
	}
}

func sum(c *Cache) (n int64) {
	for _, it := range c.items {
		n += int64(len(*it.data.Load()))
	}
	return n
}
