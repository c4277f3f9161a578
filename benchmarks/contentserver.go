package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// files returns the handler of a server of files.
func (s webserver) files() (http.Handler, error) {
	public := http.FileServer(http.Dir(filepath.Join(s.root, "public")))
	switch s.as {
	case asContent:
		return contentOf(s.root)
	case asFileServer:
		return public, nil
	case asZipping:
		return zipping(public), nil
	}
	return nil, fmt.Errorf("there is no %q", s.as)
}

// contentOf is a site as a node shows it: packed, and served from blobs on the disk, with a cache.
func contentOf(root string) (http.Handler, error) {
	store, err := blob.OpenStore(blob.StoreConfig{Dir: root + "-blobs"})
	if err != nil {
		return nil, err
	}
	m, err := content.Pack(context.Background(), os.DirFS(root), store, content.PackConfig{})
	if err != nil {
		return nil, err
	}
	return content.NewSite(m, store, content.SiteConfig{Cache: content.NewCache(0)}).
		As(content.Activation{ID: "1", Epoch: 1, Activated: time.Now()}), nil
}

// zipping compresses what clients take compressed, at the default level, as middleware does.
func zipping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := zips.Get().(*gzip.Writer)
		defer zips.Put(z)
		z.Reset(w)
		next.ServeHTTP(zipWriter{w, z}, r)
		z.Close()
	})
}

var zips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

type zipWriter struct {
	http.ResponseWriter
	z io.Writer
}

func (z zipWriter) Write(p []byte) (int, error) { return z.z.Write(p) }
