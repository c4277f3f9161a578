package lane

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// inlineMost is how long a body may be that travels with its request.
const inlineMost = chunk

// Upload is the body of a client's request, for one attempt after the other. A short one is read before the first, and
// every attempt has it. A longer one stays where it is until a peer asks for it, so that a refused request is whole.
type Upload struct {
	r      *http.Request
	body   io.ReadCloser // of r, at first
	inline []byte
	err    error // how the inline body ended
	whole  bool  // the body is inline, or there is none

	mu      sync.Mutex
	touched bool  // some of a longer body was read; guarded by mu
	end     error // what the last read of it ended with; guarded by mu
}

// NewUpload reads the body of r if it is short. That may wait for the client, as net/http does before an answer to such a
// request.
func NewUpload(r *http.Request) *Upload {
	u := &Upload{r: r, body: r.Body}
	switch {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		u.whole = true
	case r.ContentLength > 0 && r.ContentLength <= inlineMost && len(r.Header["Expect"]) == 0:
		u.inline = make([]byte, r.ContentLength)
		n, err := io.ReadFull(r.Body, u.inline)
		u.inline = u.inline[:n]
		u.whole, u.err = true, err
	}
	return u
}

// Whole reports whether the request can be sent again: no part of its body is lost.
func (u *Upload) Whole() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole || !u.touched
}

// Inline reports whether every attempt has the whole body.
func (u *Upload) Inline() bool { return u.whole }

// UnderWay reports whether a part of a longer body was read, and its end has not come.
func (u *Upload) UnderWay() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.touched && u.end != io.EOF
}

// Failed returns why the client's body broke off, nil if it has not.
func (u *Upload) Failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return u.err
	}
	if u.end == io.EOF {
		return nil
	}
	return u.end
}

// Touch notes that a peer was offered the body in a way that cannot be taken back.
func (u *Upload) Touch() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touched = true
}

// Reader returns the body for an attempt that is not a Client's, nil if there is none. What is read from a longer body is
// gone.
func (u *Upload) Reader() io.ReadCloser {
	switch {
	case !u.whole:
		return io.NopCloser(uploadReader{u})
	case u.err != nil:
		return io.NopCloser(io.MultiReader(bytes.NewReader(u.inline), failing{u.err}))
	case len(u.inline) == 0:
		return nil
	}
	return io.NopCloser(bytes.NewReader(u.inline))
}

// failing is a reader that has nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type uploadReader struct{ u *Upload }

func (r uploadReader) Read(p []byte) (int, error) {
	r.u.Touch()
	return r.u.read(p)
}

func (u *Upload) read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	if err != nil {
		u.mu.Lock()
		u.end = err
		u.mu.Unlock()
	}
	return n, err
}

// sender sends a body to one peer.
type sender struct {
	c carrier
	u *Upload
	x *call

	mu    sync.Mutex
	begun bool // the peer has asked for it; guarded by mu
	over  bool // nothing more is sent; guarded by mu
}

// start sends the body in a goroutine of its own. The peer asks once.
func (s *sender) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun || s.u.whole {
		return malformed("exchange: ACCEPT")
	}
	s.begun = true
	s.u.Touch()
	go s.run()
	return nil
}

func (s *sender) run() {
	b := getBuffer()
	defer putBuffer(b)
	p := (*b)[:headerSize+chunk]
	for {
		n, err := s.u.read(p[headerSize:])
		if n > 0 && s.send(kData, p[:headerSize+n], false) != nil {
			return
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// end sends how the body ended, and its trailer.
func (s *sender) end(err error) {
	if err == io.EOF {
		err = nil
	}
	b := putBodyError(newFrame(nil), err)
	var trailer http.Header
	if err == nil {
		trailer = s.u.r.Trailer
	}
	s.send(kEnd, putHeader(b, trailer), true)
	s.x.bodyEnded()
}

var errOver = errors.New("the peer wants no more of the body")

func (s *sender) send(k kind, b []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errOver
	}
	s.over = last
	return s.c.send(k, 0, b)
}

// stop ends what the peer may wait for, so that it knows where the next request begins. A request that is given up may
// be asked for more while it is.
func (s *sender) stop(gaveUp bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := !s.over && s.begun || gaveUp
	s.over = true
	if !wanted {
		return nil
	}
	return s.c.send(kReset, 0, append(newFrame(nil), resetCanceled))
}
