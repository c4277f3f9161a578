package dev

import (
	"errors"
	"net"
	"strconv"
)

// Ports come in blocks: 8081 to 8089 for visitors and 7951 to 7959 for the nodes among themselves, or as many tens above.
const (
	firstHTTP = 8081
	firstPeer = 7951
	blockSize = 10
	maxBlocks = 10
)

// ports is a block of ports. The nodes are told their ports before they listen there, so a launcher claims the block, for as
// long as it lives, by listening on the port below its first: two launchers that start at once do not get in each other's way.
type ports struct {
	claim  net.Listener
	offset int
}

// claimPorts finds a block in which n ports of each kind are free.
func claimPorts(n int) (ports, error) {
	for offset := 0; offset < maxBlocks*blockSize; offset += blockSize {
		claim, err := net.Listen("tcp", loopback(firstPeer-1+offset))
		if err != nil {
			continue
		}
		p := ports{claim, offset}
		if p.free(n) {
			return p, nil
		}
		claim.Close()
	}
	return ports{}, errors.New("the ports for this on loopback, 7950 to 8179, are in use")
}

func (p ports) http(i int) string { return loopback(firstHTTP + p.offset + i) }
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

func (p ports) release() {
	if p.claim != nil {
		p.claim.Close()
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
