package dev

import (
	"net"
	"testing"
)

// Two launchers that have not started their nodes yet have different ports, and none that somebody uses.
func TestClaimPorts(t *testing.T) {
	claim := func() ports {
		t.Helper()
		p, err := claimPorts("", MaxNodes)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.release)
		return p
	}
	a, b := claim(), claim()
	if a.offset == b.offset {
		t.Fatalf("two launchers have the block of %s", a.peer(0))
	}
	if udp, err := net.ListenPacket("udp", b.peer(2)); err == nil { // else somebody has it already, which will do as well
		defer udp.Close()
	}
	b.release()
	if c := claim(); c.offset == a.offset || c.offset == b.offset {
		t.Errorf("the block of %s was given, in which a port is in use", c.peer(0))
	}
}
