package lane

import (
	"errors"
	"fmt"
	"os"
)

var (
	errProtocol = errors.New("protocol error between peers")
	errClosed   = errors.New("the peer left or died") // or the Client was closed
	errLost     = errors.New("connection to the peer lost")
	errSilent   = errors.New("no sign of life from the peer")

	errCanceled    = errors.New("the client or its node gave the request up")
	errFinished    = errors.New("the handler of this request has returned")
	errUnfinished  = errors.New("the answer could not be written") // the ResponseWriter has left by a panic
	errInterrupted = errors.New("interrupted")                     // a wait ended because somebody asked for it
	errOver        = errors.New("the peer wants no more of the body")
	errDeadline    = os.ErrDeadlineExceeded
)

func malformed(what string) error { return fmt.Errorf("%w: malformed %s", errProtocol, what) }
