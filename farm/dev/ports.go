package dev

import (
	"fmt"
	"net"
	"strconv"
)

// Ports come in blocks of ten: 8081 to 8089 for visitors, or from another first port, and 7951 to 7959 for the nodes among
// themselves, or as many tens above.
const (
	firstHTTP = 8081
	firstPeer = 7951
	blockSize = 10
	maxBlocks = 10

	// MaxNodes is how many nodes Launch starts at most.
	MaxNodes = blockSize - 1
)

// ports is a block of ports. The nodes are told their ports before they listen there, so a launcher claims the block, for as
// long as it lives, by listening on the peer port below its first: two launchers that start at once do not get in each other's way.
type ports struct {
	claim  net.Listener
	host   string // of the public ports
	first  int    // public port of the first block
	offset int
}

// claimPorts finds a block in which n ports of each kind are free. http is the public address of the first node, or what it would
// be if nobody had its port; "" = 127.0.0.1:8081.
func claimPorts(http string, n int) (ports, error) {
	host, first := "127.0.0.1", firstHTTP
	if http != "" {
		h, p, err := net.SplitHostPort(http)
		if err != nil {
			return ports{}, err
		}
		if host = h; p != "0" {
			if first, err = strconv.Atoi(p); err != nil {
				return ports{}, fmt.Errorf("%s: the port must be a number", http)
			}
		}
	}
	for offset := 0; offset < maxBlocks*blockSize; offset += blockSize {
		claim, err := net.Listen("tcp", loopback(firstPeer-1+offset))
		if err != nil {
			continue
		}
		p := ports{claim, host, first, offset}
		if p.free(n) {
			return p, nil
		}
		claim.Close()
	}
	return ports{}, fmt.Errorf("the ports on loopback are in use: %d and above for visitors, or %d to %d for the nodes",
		first, firstPeer-1, firstPeer-1+maxBlocks*blockSize)
}

func (p ports) http(i int) string { return net.JoinHostPort(p.host, strconv.Itoa(p.first+p.offset+i)) }
func (p ports) peer(i int) string { return loopback(firstPeer + p.offset + i) }

// free reports whether nobody uses the first n ports of each kind.
func (p ports) free(n int) bool {
	for i := range n {
		if !unused(p.http(i)) || !unused(p.peer(i)) {
			return false
		}
	}
	return true
}

// unused reports whether a port is free for TCP and UDP.
func unused(addr string) bool {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

func (p ports) release() { p.claim.Close() }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
