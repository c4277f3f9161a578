package freeport

import (
	"context"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// A port can be used as soon as it is given out, also while processes are started: those have, until they run
// their program, all that was open in this one.
func TestAddrWhileProcessesStart(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				exec.CommandContext(ctx, program, "-test.run=^$").Run()
			}
		})
	}
	for range 200 {
		addr, err := Addr()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
