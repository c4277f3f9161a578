// Package publish is how a release comes to a node from outside, by HTTP: the two halves of an upload.
//
//	POST   /                publisher: a signed order, and the configuration -> Begun
//	PUT    /ID/manifest     what the content consists of -> Missing
//	GET    /ID              what this node lacks of it -> Missing
//	PUT    /ID/blobs        some of that -> Missing
//	POST   /ID              the order is carried out -> lines of JSON: order.RolloutLine
//	DELETE /ID              the upload is given up
//
// Who sends what does not matter: the order is signed, and names all the rest by its hash. An upload that was
// cut off goes on with what is missing, also under another ID.
package publish

import (
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// Begin begins an upload.
type Begin struct {
	Seal []byte `json:"seal"` // credential.Signed.Seal

	// Config is the whole configuration; nil = it stays as it is. The order has its hash.
	Config map[string]string `json:"config"`
}

// Begun is the answer to it.
type Begun struct {
	ID       string `json:"id"`
	Epoch    uint64 `json:"epoch"`    // in force
	Manifest bool   `json:"manifest"` // the node needs the manifest next
	Missing
}

// Missing is what a node lacks of the content, of all that the manifest names.
type Missing struct {
	Blobs []blob.Hash `json:"blobs"`
	Bytes int64       `json:"bytes"` // of those
}

func errorf(kind, format string, args ...any) *order.ReleaseError {
	return &order.ReleaseError{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
