package lane

import (
	"encoding/binary"
	"net"
	"syscall"
)

// retransmissions returns how often in a row the system has sent the same again on a connection, in vain. It
// is 0 where that is not known.
func retransmissions(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	raw.Control(func(fd uintptr) {
		// The beginning of struct tcp_info (linux/tcp.h), a byte each: state, ca_state, retransmits, probes.
		v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		if err != nil {
			return
		}
		var info [4]byte
		binary.NativeEndian.PutUint32(info[:], uint32(v))
		n = int(info[2])
	})
	return n
}
