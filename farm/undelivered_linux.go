package farm

import (
	"encoding/binary"
	"net"
	"syscall"
)

const soMemInfo = 55 // SO_MEMINFO of asm-generic/socket.h, which package syscall does not have

// undelivered reports whether the system keeps something for the other end of a connection, or may do so: what has not
// been sent, or not been acknowledged.
func undelivered(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	keeps := true
	raw.Control(func(fd uintptr) {
		// Numbers of 32 bits (linux/sock_diag.h), of which the sixth is SK_MEMINFO_WMEM_QUEUED. The type is that of another
		// option: package syscall has no function for numbers that is as long.
		v, err := syscall.GetsockoptIPv6MTUInfo(int(fd), syscall.SOL_SOCKET, soMemInfo)
		keeps = err != nil || binary.NativeEndian.Uint32(v.Addr.Addr[12:]) != 0
	})
	return keeps
}
