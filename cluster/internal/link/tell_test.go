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

// An older program answers each message that it does not know, even one that wants no answer. After the first
// such answer it is sent no more of them.
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
