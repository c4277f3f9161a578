package farm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// ownSite returns the handler of a site folder that the program itself brings along. It answers as for a release,
// but for the time of the last change, which nobody knows.
func ownSite(site fs.FS) (http.Handler, error) {
	blobs := &memory{blobs: map[blob.Hash][]byte{}}
	m, err := content.Pack(context.Background(), site, blobs, content.PackConfig{})
	if err != nil {
		return nil, err
	}
	return content.NewSite(m, blobs, content.SiteConfig{}).As(content.Activation{ID: "own"}), nil
}

// memory keeps blobs in memory, those of one site. It is a content.Sink and a content.Blobs.
type memory struct {
	mu    sync.Mutex
	blobs map[blob.Hash][]byte // guarded by mu
}

// Put keeps what r has.
func (m *memory) Put(_ context.Context, want blob.Hash, r io.Reader) (blob.Hash, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return blob.Hash{}, err
	}
	h := blob.Sum(b)
	if !want.IsZero() && h != want {
		return blob.Hash{}, fmt.Errorf("%w: %v is not %v", blob.ErrCorrupt, h, want)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[h] = b
	return h, nil
}

// Open opens a blob.
func (m *memory) Open(h blob.Hash) (blob.File, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[h]
	if !ok {
		return nil, 0, fmt.Errorf("%w: %v", blob.ErrMissing, h)
	}
	return reader{bytes.NewReader(b)}, int64(len(b)), nil
}

// reader is an open blob of memory.
type reader struct{ *bytes.Reader }

// Close does nothing.
func (reader) Close() error { return nil }
