//go:build !linux

package farm

// unread is known on Linux alone.
func unread(uintptr) bool { return false }
