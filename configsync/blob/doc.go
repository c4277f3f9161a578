// Package blob keeps the content of releases on a node, and brings it there from the others: blobs, which are
// named by the SHA-256 of their bytes, and so can be taken from anybody.
//
// It knows nothing of what the blobs are parts of.
package blob
