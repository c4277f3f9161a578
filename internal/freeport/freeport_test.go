package freeport

import (
	"net"
	"testing"
)

// No port is given twice, however many are asked for, and no other process can claim the blocks they are from.
func TestAddr(t *testing.T) {
	seen := map[string]bool{}
	for range 3 * blockSize {
		addr, err := Addr()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
	}
	if len(given.claims) < 3 {
		t.Errorf("%d blocks for %d ports", len(given.claims), len(seen))
	}
	for _, l := range given.claims {
		if other, err := net.Listen("tcp", l.Addr().String()); err == nil {
			other.Close()
			t.Errorf("the block of %v can be claimed again", l.Addr())
		}
	}
}

// A port that somebody uses is passed over.
func TestAddrInUse(t *testing.T) {
	if _, err := Addr(); err != nil {
		t.Fatal(err)
	}
	next := loopback(given.next)
	if udp, err := net.ListenPacket("udp", next); err == nil { // else somebody uses it already
		defer udp.Close()
	}
	if addr, err := Addr(); err != nil || addr == next {
		t.Errorf("%s was given, which is in use: %v", addr, err)
	}
}
