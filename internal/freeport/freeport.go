// Package freeport finds ports for tests that start processes: a process is told its port before it listens there, and it may be
// killed and started again, so the test cannot hold the port for it.
//
// Two things could take such a port meanwhile. The system gives ports to outgoing connections: those that this package gives
// out are below the range that it takes them from. And other tests look for ports as well, in this process and, as `go test`
// runs several packages at a time, in others: so the range is divided into blocks, a process claims a block by listening on its
// first port for as long as it lives, and gives out each of the others once.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

const (
	blockSize = 100
	lowest    = 11000
	highest   = 31999 // Linux takes ports for outgoing connections from 32768 up if not told otherwise, others from 49152
	fewest    = 20    // blocks that must be below that range, if Linux was told otherwise
)

// given are the ports given out.
var given struct {
	sync.Mutex
	claims []net.Listener // of this process's blocks, one each; never closed
	next   int            // port of the newest block
	left   int            // ports of that block
}

// Addr returns an address on 127.0.0.1 whose port nobody uses, for TCP or UDP, and that nobody else is given. An error says that
// there is none.
func Addr() (string, error) {
	given.Lock()
	defer given.Unlock()
	for {
		if given.left == 0 {
			if err := claimLocked(); err != nil {
				return "", err
			}
		}
		addr := loopback(given.next)
		given.next++
		given.left--
		if free(addr) {
			return addr, nil
		}
	}
}

// Held returns how many sockets this process holds to claim ports, which it keeps for as long as it lives.
func Held() int {
	given.Lock()
	defer given.Unlock()
	return len(given.claims)
}

// claimLocked takes a block that no process has, at random: those that were just given up may still be in use by processes that
// a test has left behind.
func claimLocked() error {
	forkOnce()
	blocks := (ceiling() - lowest + 1) / blockSize
	for _, i := range rand.Perm(blocks) {
		first := lowest + i*blockSize
		l, err := net.Listen("tcp", loopback(first))
		if err != nil {
			continue
		}
		given.claims = append(given.claims, l)
		given.next, given.left = first+1, blockSize-1
		return nil
	}
	return errors.New("freeport: all ports for tests are in use")
}

// ceiling returns the highest port that is not taken for outgoing connections.
func ceiling() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var low int
	if err != nil {
		return highest
	}
	if _, err := fmt.Sscan(string(b), &low); err != nil || low < lowest+fewest*blockSize {
		return highest // there is no better place
	}
	return min(highest, low-1)
}

// forkOnce has package os find out now what the system can. It does that for the first process that it starts or
// looks for, by a fork of its own, which takes no lock that free could wait for.
func forkOnce() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Release()
	}
}

// free tries a port. A process that is started in that moment would hold what is open here until it runs its
// program, and the port would be in use for as long, by nobody who can be found.
func free(addr string) bool {
	if runtime.GOOS == "linux" { // elsewhere package net takes this lock itself, and would wait for us
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
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

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
