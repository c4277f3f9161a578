package lane

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"sync/atomic"
)

// body is a forwarded request's body as its handler sees it. A short one came with the request, if it was
// there by then. Any other is still at the dialler, and is asked for by the first Read. Once the handler
// runs, all fields but x and marked are guarded by the exchange's rmu.
type body struct {
	x      *exchange
	inline []byte // what has come, with the request or in front of MARKED, and is not read yet
	err    error  // what Read returns at the end; nil = io.EOF
	ended  bool   // no more of it comes
	asked  bool
	closed bool
	inData bool // the frame that is read is of kind DATA

	marked atomic.Pointer[chan struct{}] // closed when MARKED has come; nil = there was no MARK
}

func (b *body) init(x *exchange, inline []byte, whole bool) {
	b.x = x
	b.ended = whole
	if len(inline) > 0 {
		b.inline = append([]byte(nil), inline...)
	}
}

func (b *body) empty() bool { return len(b.inline) == 0 && b.err == nil }

// Read is of io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.x.rmu.Lock()
	defer b.x.rmu.Unlock()
	switch {
	case b.closed || b.x.w.late():
		return 0, http.ErrBodyReadAfterClose
	case len(b.inline) > 0:
		n := copy(p, b.inline)
		b.inline = b.inline[n:]
		return n, nil
	case b.ended:
		if b.err != nil {
			b.x.cancel(context.Canceled) // as net/http does when a read fails
			return 0, b.err
		}
		return 0, io.EOF
	case b.x.stale:
		return 0, errCanceled
	case len(p) == 0:
		return 0, nil
	}
	if !b.asked {
		b.asked = true
		if err := b.x.send(kAccept, 0, newFrame(nil)); err != nil {
			b.endLocked(err)
			return 0, err
		}
	}
	return b.readLocked(p)
}

func (b *body) endLocked(err error) { b.ended, b.err = true, err }

// readLocked reads from the frames of the body.
func (b *body) readLocked(p []byte) (int, error) {
	for {
		if b.inData {
			n, err := readSome(b.x.c, p)
			if n > 0 {
				return n, nil
			}
			if err != nil {
				b.endLocked(err)
				return 0, err
			}
		}
		if err := b.nextLocked(); err != nil {
			b.endLocked(err)
			return 0, err
		}
		if b.ended {
			return 0, cmp.Or(b.err, io.EOF)
		}
	}
}

// nextLocked takes the next frame. Of one of kind DATA it leaves the payload. An error says that nothing more
// comes; that the body has broken off at the client is none.
func (b *body) nextLocked() error {
	f, err := b.x.c.next()
	if err != nil {
		return err
	}
	b.inData = false
	if f.id != b.x.seq && f.kind != kReq {
		return nil // of an exchange that was given up
	}
	switch f.kind {
	case kData:
		b.inData = true
	case kEnd:
		return b.trailerLocked()
	case kMarked:
		b.giveMarkedLocked()
	case kReset:
		return errCanceled
	case kReq:
		err := malformed("exchange: another request before its end")
		b.x.cut(err)
		return err
	}
	return nil
}

// trailerLocked reads how the body ended, and its trailer. An error says that the frame did not come whole.
func (b *body) trailerLocked() error {
	p, err := b.x.c.payload()
	if err != nil {
		return err
	}
	d := decoder{s: string(p)}
	ended := d.bodyError()
	trailer := d.header()
	if err := d.end("END"); err != nil {
		ended = err
	}
	b.endLocked(ended)
	if len(trailer) > 0 {
		if b.x.req.Trailer == nil {
			b.x.req.Trailer = make(http.Header, len(trailer))
		}
		maps.Copy(b.x.req.Trailer, trailer)
	}
	return nil
}

// Close is of io.Closer.
func (b *body) Close() error {
	b.x.rmu.Lock()
	defer b.x.rmu.Unlock()
	b.closed = true
	return nil
}
