package farm

import (
	"net"
	"syscall"
)

const tcpNotsentLowat = 25 // TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall does not have everywhere

// boundUnsent has the system take no more of an answer than the client's window and 128 KiB. Otherwise it takes megabytes, and
// takes more only when a third of them has gone: a client that reads slowly all the time looks as if it did not for minutes.
func boundUnsent(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, 2*mostAtOnce) // else it is as it was
	})
}
