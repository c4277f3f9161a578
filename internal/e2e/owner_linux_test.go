package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const ownersKnown = true

// connOwner returns the name of the process that has a TCP connection with these ends, "" if none of them has, and
// whether there is such a connection at all.
func connOwner(pids map[string]int, local, remote netip.AddrPort) (name string, open bool) {
	inode := socketInode(local, remote)
	if inode == "" {
		return "", false
	}
	for name, pid := range pids {
		fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		for _, fd := range fds {
			if target, _ := os.Readlink(fd); target == "socket:["+inode+"]" {
				return name, true
			}
		}
	}
	return "", true
}

// socketInode finds a connection among the system's TCP sockets; "" if it is not there, or is no process's any more. The
// list of all sockets is asked only where the system answers no questions about one: it takes milliseconds to write.
func socketInode(local, remote netip.AddrPort) string {
	inode, err := askInode(local, remote)
	if err != nil {
		return listedInode(local, remote)
	}
	return inode
}

// listedInode is socketInode by that list.
func listedInode(local, remote netip.AddrPort) string {
	list, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	ends := procAddr(local) + " " + procAddr(remote)
	for s := bufio.NewScanner(bytes.NewReader(list)); s.Scan(); {
		if !strings.Contains(s.Text(), ends) {
			continue
		}
		if f := strings.Fields(s.Text()); len(f) > 9 && f[9] != "0" {
			return f[9]
		}
	}
	return ""
}

// procAddr writes an IPv4 address and port as /proc/net/tcp does: the address in the byte order of the machine.
func procAddr(a netip.AddrPort) string {
	ip := a.Addr().As4()
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, binary.NativeEndian.Uint32(ip[:])), a.Port())
	text := strings.ToUpper(hex.EncodeToString(b))
	return text[:8] + ":" + text[8:]
}
