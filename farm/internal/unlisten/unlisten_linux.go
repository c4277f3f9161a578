package unlisten

import (
	"context"
	"net"
	"syscall"
)

// Quiet has the system take no more connections for l, and returns when all that it had taken were accepted,
// by whoever accepts from l, or when ctx ends. l is to be closed then. No other process may have the same
// port by a descriptor that it has inherited: it would get no connections either.
func Quiet(ctx context.Context, l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	defer syscall.Close(poll)
	raw.Control(func(fd uintptr) {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN}
		if err = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, int(fd), &event); err != nil {
			return
		}
		//lint:ignore SA1019 what is to be used in its place makes filters, and attaches none
		err = syscall.AttachLsf(int(fd), dropOpenings)
	})
	if err != nil {
		return
	}
	events := make([]syscall.EpollEvent, 1)
	awaitQuiet(ctx, func() bool {
		n, err := syscall.EpollWait(poll, events, 0)
		return n > 0 || err == syscall.EINTR
	})
}

// dropOpenings is a filter for a socket that drops the first packet of each connection, by the flag SYN in
// byte 13 of the header of TCP. The others pass: those of handshakes that have begun.
var dropOpenings = []syscall.SockFilter{
	{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: 13},
	{Code: syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, K: 0x02, Jf: 1},
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 1 << 18},
}
