package link

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A program of before answers what it does not know, also if that is no call, and is told nothing more.
func TestTellOlderProgram(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := New(here)
		told := 0
		var wg sync.WaitGroup
		wg.Go(c.Run)
		wg.Go(func() {
			for r, w := bufio.NewReader(there), bufio.NewWriter(there); ; {
				id, _, _, err := wire.ReadFrame(r)
				if err != nil {
					return
				}
				told++
				wire.WriteFrame(w, id, byte(wire.CodeVersion), nil)
			}
		})
		for range 3 {
			if err := c.Tell(t.Context(), wire.MethodCommitted, nil); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if told != 1 {
			t.Errorf("it was told %d times", told)
		}
		c.Kill(io.EOF)
		wg.Wait()
	})
}
