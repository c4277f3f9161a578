package publish

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// A stream of blobs has, for each of them: hash (32 bytes), size (8 bytes, big endian), the blob.
const frameHead = 32 + 8

// blobs takes blobs of the content, in any order.
func (s *Server) blobs(r *http.Request) (any, error) {
	u, err := s.uploads.take(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	defer s.uploads.release(u)
	if u.content() == nil {
		return nil, errorf(order.KindInvalid, "the manifest comes first")
	}
	if !u.stream() {
		return nil, errorf(order.KindOverloaded, "%d streams of this upload are under way, and there may be "+
			"no more", maxStreams)
	}
	defer u.endStream()
	err = s.takeAll(r.Context(), u, r.Body)
	if e := s.c.Store.Sync(); err == nil { // also what came before a stream was cut off is kept
		err = e
	}
	if err != nil {
		return nil, err
	}
	return s.lacks(u), nil
}

func (s *Server) takeAll(ctx context.Context, u *upload, body io.Reader) error {
	head := make([]byte, frameHead)
	for {
		if _, err := io.ReadFull(body, head); err == io.EOF {
			return nil
		} else if err != nil {
			return unread(err)
		}
		var h blob.Hash
		copy(h[:], head)
		n := binary.BigEndian.Uint64(head[len(h):])
		size, ok := u.size(h)
		if !ok || uint64(size) != n {
			return errorf(order.KindRefused, "no part of the signed content is a blob %v of %d bytes", h, n)
		}
		if err := s.takeOne(ctx, h, size, body); err != nil {
			return err
		}
	}
}

// takeOne takes a blob, or skips it if it is there already.
func (s *Server) takeOne(ctx context.Context, h blob.Hash, size int64, body io.Reader) error {
	one := &exact{body, size}
	_, err := s.c.Store.Add(ctx, h, one)
	if err == nil {
		_, err = io.Copy(io.Discard, one)
	}
	if cut, ok := errors.AsType[*cutError](err); ok {
		return unread(cut)
	}
	return err
}

// exact reads so many bytes, and no fewer: an end before that is a cutError.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(b[:min(int64(len(b)), e.left)])
	if e.left -= int64(n); err == io.EOF && e.left > 0 {
		err = &cutError{io.ErrUnexpectedEOF}
	}
	return n, err
}

// add puts a blob that is in memory into the store.
func (s *Server) add(ctx context.Context, h blob.Hash, b []byte) error {
	_, err := s.c.Store.Add(ctx, h, bytes.NewReader(b))
	return err
}

// unstalled is a body that ends with an error when nothing comes for stall. Little by little is nothing: only enough
// bytes win the time back.
type unstalled struct {
	body  io.ReadCloser
	ctl   *http.ResponseController
	stall time.Duration
	until time.Time // the deadline that is set; zero = none yet
	came  int       // bytes since it was set
}

// enough is how many bytes have to come before the deadline is set anew.
const enough = 16 << 10

func (p *unstalled) Read(b []byte) (n int, err error) {
	if now := time.Now(); p.until.IsZero() || p.came >= enough && p.until.Sub(now) < p.stall*9/10 {
		p.until, p.came = now.Add(p.stall), 0
		p.ctl.SetReadDeadline(p.until) // where there are no deadlines, whoever serves has to bound bodies
	}
	n, err = p.body.Read(b)
	p.came += n
	if err != nil && err != io.EOF {
		p.ctl.SetReadDeadline(time.Time{})
		err = &cutError{fmt.Errorf("the upload was cut off, or nothing came for %v: %w", p.stall, err)}
	}
	if err == io.EOF {
		p.ctl.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (p *unstalled) Close() error { return p.body.Close() }

// cutError is an error of the connection, and none of what came.
type cutError struct{ error }

func (e *cutError) Unwrap() error { return e.error }
