//go:build !unix

package blob

import "os"

// syncFolder does nothing: Windows has no such thing, and NTFS journals its names.
func syncFolder(*os.Root, string) error { return nil }
