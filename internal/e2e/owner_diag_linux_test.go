package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
)

// The numbers and sizes of linux/sock_diag.h and linux/inet_diag.h.
const (
	diagProtocol  = 4  // NETLINK_SOCK_DIAG
	diagByFamily  = 20 // SOCK_DIAG_BY_FAMILY
	diagAsk       = 56 // of an inet_diag_req_v2
	diagAnswer    = 72 // of an inet_diag_msg
	diagAskID     = 8  // where the ends are in the first
	diagAnswerID  = 4  // and in the second
	diagInode     = 68
	diagEndsBytes = 36 // two ports and two addresses
)

// askInode is socketInode by a question about this one connection. It fails where the system answers none.
func askInode(local, remote netip.AddrPort) (inode string, err error) {
	s, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, diagProtocol)
	if err != nil {
		return "", err
	}
	defer syscall.Close(s)
	ends := diagEnds(local, remote)
	b := binary.NativeEndian.AppendUint32(nil, syscall.NLMSG_HDRLEN+diagAsk)
	b = binary.NativeEndian.AppendUint16(b, diagByFamily)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST)
	b = append(b, make([]byte, syscall.NLMSG_HDRLEN+diagAsk-len(b))...)
	ask := b[syscall.NLMSG_HDRLEN:]
	ask[0], ask[1] = syscall.AF_INET, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(ask[4:], ^uint32(0)) // in any state
	copy(ask[diagAskID:], ends)
	binary.NativeEndian.PutUint64(ask[diagAsk-8:], ^uint64(0)) // whatever its cookie
	if err := syscall.Sendto(s, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(s, buf, 0)
	if err != nil {
		return "", err
	}
	return diagInodeOf(buf[:n], ends)
}

// diagEnds writes the ends of a connection of IPv4.
func diagEnds(local, remote netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint16(nil, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, a := range []netip.AddrPort{local, remote} {
		ip := a.Addr().As4()
		b = append(append(b, ip[:]...), make([]byte, 12)...) // there is room for IPv6
	}
	return b
}

// diagInodeOf reads an answer. It may be about a socket that listens at the local end, if no other is there.
func diagInodeOf(answer, ends []byte) (string, error) {
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil || len(messages) == 0 {
		return "", fmt.Errorf("%d messages: %w", len(messages), err)
	}
	m := messages[0]
	switch {
	case m.Header.Type == syscall.NLMSG_ERROR && len(m.Data) >= 4:
		e := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		if e == syscall.ENOENT {
			return "", nil
		}
		return "", e
	case m.Header.Type != diagByFamily || len(m.Data) < diagAnswer:
		return "", fmt.Errorf("a message of type %d and %d bytes", m.Header.Type, len(m.Data))
	case string(m.Data[diagAnswerID:][:diagEndsBytes]) != string(ends):
		return "", nil
	}
	if inode := binary.NativeEndian.Uint32(m.Data[diagInode:]); inode != 0 {
		return strconv.FormatUint(uint64(inode), 10), nil
	}
	return "", nil
}
