// Package unlisten prepares a port for being closed.
//
// A system takes connections before a program asks for them, and resets those that nobody has accepted when
// the port is closed: a client is connected, has sent its request, and loses it. There is always one in a
// port that is used.
package unlisten

import (
	"context"
	"net"
	"time"
)

// Listen listens on a TCP address so that Quiet works. It does not speak Multipath TCP, as net.Listen does:
// such a port takes no filter.
func Listen(addr string) (net.Listener, error) {
	var cfg net.ListenConfig
	cfg.SetMultipathTCP(false)
	return cfg.Listen(context.Background(), "tcp", addr)
}

const (
	lookTime = 10 * time.Millisecond // between two looks at what waits to be accepted

	// looks is how many have to find nothing: a quarter of a second, in which those connections arrive whose
	// handshake had begun. A client that begins one meanwhile gets no answer, tries again a second after its
	// first try, and is refused then.
	looks = 25
)

// awaitQuiet returns when nothing was waiting at so many looks in a row, or when ctx ends. Looks are
// counted, and not time: a process that was held up finds what has come meanwhile.
func awaitQuiet(ctx context.Context, waiting func() bool) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for n := 0; n < looks; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if waiting() {
			n = 0
		}
	}
}
