package swarm

import (
	"errors"
	"sync"
)

// ErrUnavailable is what an UnavailableError is.
var ErrUnavailable = errors.New("swarm: no peer that is present has this blob")

// buffers are for what is sent and received.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}
