package lane

import (
	"io"
	"net/http"
	"sync"
)

// Upload is the body of a client's request, for one attempt after the other. A short one is read at once and
// kept, and every attempt has it. A longer one stays where it is until a peer asks for it, so that a refused
// request is whole.
type Upload struct {
	r     *http.Request
	body  io.ReadCloser // of r, at first; nil = none
	short *short        // nil = it is none, or a longer one

	memory *Memory // of which it has taken some; nil = none
	took   int64   // of memory

	mu      sync.Mutex
	touched bool  // some of a longer body was read; guarded by mu
	end     error // what the last read of it ended with; guarded by mu
}

// NewUpload begins to read the body of r if it is short, and waits for it for a moment.
func NewUpload(r *http.Request) *Upload {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return noUpload
	}
	u := &Upload{r: r, body: r.Body}
	if keepable(r) && r.ContentLength <= shortMost {
		u.readShort()
	}
	return u
}

// noUpload is that of all requests without a body. Nothing in it is ever set.
var noUpload = &Upload{}

// keepable reports whether the body of r may be read before a peer asks for it. Who takes over a connection
// finds the body there.
func keepable(r *http.Request) bool {
	return r.ContentLength > 0 && len(r.Header["Upgrade"]) == 0 && len(r.Header["Expect"]) == 0 &&
		r.Body != nil && r.Body != http.NoBody
}

func (u *Upload) readShort() {
	u.short = newShort(u.body, u.r.ContentLength)
	u.short.wait()
}

// inline returns the body, and how it ended, if all of it is there.
func (u *Upload) inline() (p []byte, err error, ok bool) {
	switch {
	case u.body == nil:
		return nil, nil, true
	case u.short == nil:
		return nil, nil, false
	}
	return u.short.all()
}

// Kept reports whether every attempt has the whole body, and whoever reads it afterwards as well.
func (u *Upload) Kept() bool { return u.body == nil || u.short != nil }

// Whole reports whether the request can be sent again: no part of its body is lost.
func (u *Upload) Whole() bool {
	if u.Kept() {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.touched
}

// Unfinished reports whether a part of a longer body was read, and its end has not come.
func (u *Upload) Unfinished() bool {
	if u.Kept() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.touched && u.end != io.EOF
}

// reading reports whether somebody may be reading from the client now.
func (u *Upload) reading() bool {
	if u.short != nil {
		_, _, there := u.short.all()
		return !there
	}
	return u.Unfinished()
}

// Failed returns why the client's body broke off, nil if it has not.
func (u *Upload) Failed() error {
	switch {
	case u.body == nil:
		return nil
	case u.short != nil:
		_, err, _ := u.short.all()
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.end == io.EOF {
		return nil
	}
	return u.end
}

// Touch notes that a peer was offered the body in a way that cannot be taken back.
func (u *Upload) Touch() {
	if u.Kept() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touched = true
}

// Reader returns the body for an attempt that is not a Client's, nil if there is none. What is read from a
// longer body is gone.
func (u *Upload) Reader() io.ReadCloser {
	if u.body == nil {
		return nil
	}
	return io.NopCloser(u.reader())
}

func (u *Upload) reader() io.Reader {
	if u.short != nil {
		return &shortReader{of: u.short}
	}
	return longReader{u}
}

// longReader reads what is left of a longer body.
type longReader struct{ u *Upload }

func (r longReader) Read(p []byte) (int, error) {
	r.u.Touch()
	n, err := r.u.body.Read(p)
	if err != nil {
		r.u.mu.Lock()
		r.u.end = err
		r.u.mu.Unlock()
	}
	return n, err
}

// sender sends a body to one peer.
type sender struct {
	c    carrier
	u    *Upload
	x    *call
	sent bool // the body went with the request

	mu    turn // held while something is sent
	begun bool // the peer has asked for it; guarded by mu
	over  bool // nothing more is sent; guarded by mu
}

// start sends the body in a goroutine of its own. The peer asks once.
func (s *sender) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun || s.sent {
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
	p, body := (*b)[:headerSize+chunk], s.u.reader()
	for {
		n, err := body.Read(p[headerSize:])
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

func (s *sender) send(k kind, b []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errOver
	}
	s.over = last
	return s.c.send(k, 0, b)
}

// stop ends what the peer may wait for, so that it knows where the next request begins. A request that is
// given up may be asked for more while it is.
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
