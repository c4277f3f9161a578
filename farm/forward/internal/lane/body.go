package lane

import (
	"context"
	"io"
	"maps"
	"net/http"
)

// body is a forwarded request's body as its handler sees it. A short one came with the request, if it was
// there by then. Any other is still at the dialler, and is asked for by the first Read. Once the handler
// runs, all fields but x are guarded by the exchange's rmu.
type body struct {
	x      *exchange
	inline []byte // what has come with the request and is not read yet
	err    error  // what Read returns at the end; nil = io.EOF
	ended  bool   // there is nothing behind inline
	asked  bool
	closed bool
	inData bool // the frame that is read is of kind DATA
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
		f, err := b.x.c.next()
		if err != nil {
			b.endLocked(err)
			return 0, err
		}
		if f.id != b.x.seq && f.kind != kReq {
			b.inData = false
			continue // of an exchange that was given up
		}
		switch b.inData = f.kind == kData; f.kind {
		case kEnd:
			if err := b.trailerLocked(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		case kReset:
			b.endLocked(errCanceled)
			return 0, errCanceled
		case kReq:
			err := malformed("exchange: another request before its end")
			b.endLocked(err)
			b.x.cut(err)
			return 0, err
		}
	}
}

// trailerLocked reads how the body ended, and its trailer.
func (b *body) trailerLocked() error {
	p, err := b.x.c.payload()
	if err != nil {
		b.endLocked(err)
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
	return ended
}

// Close is of io.Closer.
func (b *body) Close() error {
	b.x.rmu.Lock()
	defer b.x.rmu.Unlock()
	b.closed = true
	return nil
}
