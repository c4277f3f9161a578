package e2e

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

// Whose a connection is, is found whichever way the system is asked; and nobody has one that is not there.
func TestConnOwner(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	pids := map[string]int{"init": 1, "this": os.Getpid()}
	if name, open := connOwner(pids, local, remote); name != "this" || !open {
		t.Errorf("the owner of a connection is %q, %v", name, open)
	}
	if inode, err := askInode(local, remote); err != nil {
		t.Logf("the list of all sockets is used: %v", err)
	} else if listed := listedInode(local, remote); inode != listed {
		t.Errorf("asked for the socket, %q; in the list, %q", inode, listed)
	}
	none := netip.AddrPortFrom(local.Addr(), 1)
	for _, ends := range [][2]netip.AddrPort{{remote, none}, {none, remote}} { // where somebody listens, and where nobody does
		if name, open := connOwner(pids, ends[0], ends[1]); name != "" || open {
			t.Errorf("%v, which is not there, is taken for open, and %q its owner", ends, name)
		}
	}
}
