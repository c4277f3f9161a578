package admin

import (
	"context"
	"errors"
	"net"
	"time"
)

// nextAfter is how long a node may take to connect before the next one is tried as well.
const nextAfter = 500 * time.Millisecond

// dialed is a connection, and to which address.
type dialed struct {
	net.Conn
	addr string
}

// dialFirst connects to the first address that answers. The next one is tried when the one before has failed,
// or is slow. The error is that of all, or ctx's.
func dialFirst(ctx context.Context, addrs []string,
	dial func(context.Context, string) (net.Conn, error)) (dialed, error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		i    int
		conn net.Conn
		err  error
	}
	outcomes := make(chan outcome, len(addrs))
	errs := make([]error, len(addrs))
	begun, ended := 0, 0
	defer func() { // the others are not needed any more
		left := begun - ended
		go func() {
			for range left {
				if o := <-outcomes; o.conn != nil {
					o.conn.Close()
				}
			}
		}()
	}()
	slow := time.NewTimer(0)
	defer slow.Stop()
	for ended < len(addrs) {
		next := slow.C
		if begun == len(addrs) {
			next = nil
		}
		select {
		case <-next:
			i := begun
			begun++
			go func() {
				conn, err := dial(within, addrs[i])
				outcomes <- outcome{i, conn, err}
			}()
			slow.Reset(nextAfter)
		case o := <-outcomes:
			ended++
			if o.err == nil {
				return dialed{o.conn, addrs[o.i]}, nil
			}
			errs[o.i] = o.err
			slow.Reset(0)
		case <-ctx.Done():
			return dialed{}, ctx.Err()
		}
	}
	return dialed{}, errors.Join(errs...)
}
