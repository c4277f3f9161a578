package texthop

import (
	"errors"
	"io"
	"sync"
)

var errRevoked = errors.New("the request was sent to another peer")

// replay is a request body that can be offered to several peers, one after the other, until the first one
// reads from it.
type replay struct {
	body io.ReadCloser

	mu      sync.Mutex
	touched bool       // somebody read; guarded by mu
	current *bodyOfTry // who may read; guarded by mu
}

// bodyOfTry is the body of one attempt.
type bodyOfTry struct{ of *replay }

// view returns the body for the next attempt.
func (p *replay) view() io.ReadCloser {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = &bodyOfTry{p}
	return p.current
}

// revoke takes the body away from the present attempt. It reports whether the body is whole.
func (p *replay) revoke() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.touched {
		return false
	}
	p.current = nil
	return true
}

func (b *bodyOfTry) Read(buf []byte) (int, error) {
	p := b.of
	p.mu.Lock()
	mine := p.current == b
	p.touched = p.touched || mine
	p.mu.Unlock()
	if !mine {
		return 0, errRevoked
	}
	return p.body.Read(buf)
}

// Close does nothing: a transport closes the body of an attempt that failed, and the next one still needs it.
// The server that received the request closes it.
func (b *bodyOfTry) Close() error { return nil }
