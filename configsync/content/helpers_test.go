package content

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// folder is a store of blobs in a folder: it does what this package asks of a store, and counts.
type folder struct {
	dir   string
	opens atomic.Int64
	mu    sync.Mutex
	puts  int
}

func newFolder(t testing.TB) *folder { return &folder{dir: t.TempDir()} }

func (s *folder) name(h blob.Hash) string { return filepath.Join(s.dir, h.String()) }

func (s *folder) Put(ctx context.Context, want blob.Hash, r io.Reader) (blob.Hash, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return blob.Hash{}, err
	}
	if len(b) > maxManifest {
		return blob.Hash{}, fmt.Errorf("%d bytes are too many for a blob", len(b))
	}
	h := blob.Sum(b)
	if !want.IsZero() && h != want {
		return h, fmt.Errorf("%v is not %v", h, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	return h, os.WriteFile(s.name(h), b, 0o600)
}

func (s *folder) Open(h blob.Hash) (blob.File, int64, error) {
	s.opens.Add(1)
	f, err := os.Open(s.name(h))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// files makes a file system of texts.
func files(texts map[string]string) fstest.MapFS {
	m := make(fstest.MapFS)
	for p, text := range texts {
		m[p] = &fstest.MapFile{Data: []byte(text), Mode: 0o644, ModTime: time.Unix(1e9, 0)}
	}
	return m
}

func pack(t testing.TB, s Sink, fsys fs.FS, cfg PackConfig) *Manifest {
	t.Helper()
	m, err := Pack(t.Context(), fsys, s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// activated is a time with parts of a second and a zone, which no header can carry.
var activated = time.Date(2026, 11, 30, 9, 0, 1, 5e8, time.FixedZone("", 3600))

const lastModified = "Mon, 30 Nov 2026 08:00:01 GMT"

// newSite packs texts and returns what serves them.
func newSite(t testing.TB, texts map[string]string, cfg SiteConfig) (*Site, *Manifest) {
	t.Helper()
	s := newFolder(t)
	m := pack(t, s, files(texts), PackConfig{})
	if cfg.Failed == nil {
		cfg.Failed = func(path string, err error) { t.Errorf("%s: %v", path, err) }
	}
	return NewSite(m, s, cfg).As(Activation{ID: "r1", Epoch: 1, Activated: activated}), m
}

// ask asks a handler for a path, with header fields as "Name: value".
func ask(h http.Handler, method, target string, fields ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// headers returns what a response says, as one line of what is asked for.
func headers(r *http.Response, names ...string) string {
	var b strings.Builder
	fmt.Fprint(&b, r.StatusCode)
	for _, n := range names {
		fmt.Fprintf(&b, " %s=%q", n, strings.Join(r.Header[n], "|"))
	}
	return b.String()
}

// long is text that compresses well, by zstd still better, and is of no interest.
var long = strings.Repeat("all work and no play makes a dull site. ", 1+zstdFrom/40)
