// Package blob keeps the content of releases on a node: blobs, which are named by the SHA-256 of their bytes,
// and so can be taken from anybody. Package swarm takes them from the other nodes.
//
// It knows nothing of what the blobs are parts of.
package blob
