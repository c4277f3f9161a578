package content

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

var (
	_ Blobs = (*blob.Store)(nil)
	_ Sink  = (*blob.Store)(nil)
)

// What was packed into a store on disk is served from it, by whoever opens it next.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	s, err := blob.OpenStore(blob.StoreConfig{Dir: dir, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat(long, (WholeSize+ChunkSize)/len(long))
	texts := map[string]string{"public/index.html": long, "public/big.bin": big, "templates/a.tmpl": "{{.}}"}
	root := pack(t, s, files(texts), PackConfig{}).Root()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = blob.OpenStore(blob.StoreConfig{Dir: dir, Reserve: -1}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, size, err := s.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, size)
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	m, err := Parse(text, Limits{})
	if err != nil || m.Root() != root {
		t.Fatal(err)
	}
	if missing := s.Missing(m.Refs()); len(missing) > 0 {
		t.Errorf("%v are not there", missing)
	}
	site := NewSite(m, s, SiteConfig{Cache: NewCache(0)}).As(Activation{ID: "r1", Epoch: 1, Activated: activated})
	for target, want := range map[string]string{"/": long, "/big.bin": big} {
		if r := ask(site, "GET", target); r.StatusCode != 200 || body(t, r) != want {
			t.Errorf("%s: %d", target, r.StatusCode)
		}
	}
	if b, err := fs.ReadFile(NewFS(m, s), "templates/a.tmpl"); string(b) != "{{.}}" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
