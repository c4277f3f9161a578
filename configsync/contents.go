package configsync

import (
	"context"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// Contents keeps the content of releases on a node. Methods are called concurrently.
type Contents interface {
	// Fetch returns the manifest of a content when this node has all blobs of it, verified, so that they can be
	// opened. It fetches what is missing from other members. progress is told how many bytes of how many are here.
	// An error that is ErrUnavailable says that nobody has it at the moment: it is called again. Any other refuses
	// the release, unless ctx has ended. Contents are fetched at the same time.
	Fetch(ctx context.Context, c Content, progress func(have, size uint64)) (*content.Manifest, error)

	// Keep is told, whenever that has changed, the roots of all content that has to stay, and those of which the
	// manifest alone has to. Other content may go when it has not been touched for a while.
	Keep(roots, manifests []blob.Hash)

	// Open opens a blob.
	Open(h blob.Hash) (f blob.File, size int64, err error)
}
