//go:build !linux

package farm

import "net"

// boundUnsent does something where it is known how: see the one for Linux.
func boundUnsent(*net.TCPConn) {}
