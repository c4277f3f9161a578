//go:build !linux

package lane

import "net"

// retransmissions is known on Linux only.
func retransmissions(*net.TCPConn) int { return 0 }
