package content

import (
	"io"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Stored returns the manifest of a content from where blobs are opened, such as a blob.Store. Errors: those of open and
// of reading, and Parse's.
func Stored(open func(blob.Hash) (blob.File, int64, error), root blob.Hash) (*Manifest, error) {
	f, size, err := open(root)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return Parse(b, Limits{})
}
