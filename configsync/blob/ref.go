package blob

// Ref is a blob that something consists of. Size is in bytes, and is what the blob must have.
type Ref struct {
	Hash Hash
	Size int64
}
