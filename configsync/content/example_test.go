package content_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// folder is the least that keeps blobs. A program has a *blob.Store.
type folder string

func (f folder) Put(_ context.Context, _ blob.Hash, r io.Reader) (blob.Hash, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return blob.Hash{}, err
	}
	h := blob.Sum(b)
	return h, os.WriteFile(filepath.Join(string(f), h.String()), b, 0o600)
}

func (f folder) Open(h blob.Hash) (blob.File, int64, error) {
	b, err := os.ReadFile(filepath.Join(string(f), h.String()))
	return file{bytes.NewReader(b)}, int64(len(b)), err
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

func packed() (*content.Manifest, folder, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, "", err
	}
	site := fstest.MapFS{
		"public/index.html":   {Data: []byte("<h1>Tea</h1>")},
		"public/.env":         {Data: []byte("PASSWORD=x")},
		"templates/cart.tmpl": {Data: []byte("{{.Total}}")},
	}
	m, err := content.Pack(context.Background(), site, folder(dir), content.PackConfig{
		Excluded: func(path, why string) { fmt.Printf("left out: %s: %s\n", path, why) },
	})
	return m, folder(dir), err
}

func ExamplePack() {
	m, blobs, err := packed()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(string(blobs))
	for _, f := range m.Files {
		fmt.Println(f.Path, f.Type)
	}
	_, err = content.Pack(context.Background(), fstest.MapFS{"public/con.txt": {}}, blobs, content.PackConfig{})
	fmt.Println(err)
	// Output:
	// left out: public/.env: its name begins with a dot
	// public/index.html text/html; charset=utf-8
	// templates/cart.tmpl text/plain; charset=utf-8
	// content: refused: "public/con.txt": "con.txt" is the name of a device on Windows
}

func ExampleNewFS() {
	m, blobs, err := packed()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(string(blobs))
	b, err := fs.ReadFile(content.NewFS(m, blobs), "templates/cart.tmpl")
	fmt.Println(string(b), err)
	// Output:
	// left out: public/.env: its name begins with a dot
	// {{.Total}} <nil>
}

func ExampleNewSite() {
	m, blobs, err := packed()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(string(blobs))
	staged := content.NewSite(m, blobs, content.SiteConfig{Cache: content.NewCache(0)})
	site := staged.As(content.Activation{ID: "spring", Epoch: 7, Activated: time.Date(2026, 3, 20, 9, 0, 0, 0,
		time.UTC)})

	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Body, w.Header().Get("Last-Modified"))
	// Output:
	// left out: public/.env: its name begins with a dot
	// 200 <h1>Tea</h1> Fri, 20 Mar 2026 09:00:00 GMT
}
