package swarm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// batch is one request for several small blobs, none of which has come in part.
type batch struct {
	f     *Fetcher
	peer  string
	refs  []blob.Ref
	count func(bytes int64) // is told of each blob that has come

	ends []error // how it went with each, once run has returned
	got  int64   // bytes of blobs
}

// errBehind says that a batch broke before it came to a blob.
var errBehind = fmt.Errorf("%w: what it sent before the blob was of no use", errProtocol)

// run asks for the blobs and puts what comes into the store. It returns what is to be held against the peer.
func (b *batch) run(ctx context.Context) error {
	b.ends = make([]error, len(b.refs))
	for i := range b.ends {
		b.ends[i] = errBehind
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatchdog(b.f.config.Stall, func() { cancel(errStalled) })
	defer watch.stop()
	if err := b.ask(ctx, watch); err != nil {
		err = because(ctx, err)
		for i, end := range b.ends {
			if end == errBehind {
				b.ends[i] = err
			}
		}
	}
	return b.verdict()
}

// verdict is the worst that has happened; nil if blobs came, and otherwise nothing did.
func (b *batch) verdict() (worst error) {
	came := false
	for _, err := range b.ends {
		switch {
		case err == nil:
			came = true
		case errors.Is(err, blob.ErrCorrupt):
			return err
		case !errors.Is(err, errRefused) && worst == nil:
			worst = err
		}
	}
	if worst == nil && !came {
		return errRefused
	}
	return worst
}

func (b *batch) ask(ctx context.Context, watch *watchdog) error {
	hashes := make([]blob.Hash, len(b.refs))
	for i, r := range b.refs {
		hashes[i] = r.Hash
	}
	watch.start()
	resp, err := b.f.post(ctx, b.peer, pathMany, hashes)
	watch.pause()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return errRefused
	default:
		return fmt.Errorf("%w: %.80s", errProtocol, resp.Status)
	}
	body := bufio.NewReaderSize(&watched{ctx, resp.Body, watch, b.f.rate}, 32<<10)
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for i, r := range b.refs {
		if b.ends[i], err = b.one(body, r, buf[:]); err != nil {
			return err
		}
	}
	body.ReadByte() // what ends the answer, so that the connection can be used again
	return nil
}

// one reads what the answer says of one blob, and puts the blob into the store. end is how it went with the blob;
// err is not nil if nothing of use can follow.
func (b *batch) one(body *bufio.Reader, r blob.Ref, buf []byte) (end, err error) {
	code, err := body.ReadByte()
	if err != nil {
		return cut(err), cut(err)
	}
	switch code {
	case manySent:
	case manyNone:
		return errHasNot, nil
	case manyBusy:
		return errBusy, nil
	case manySpent:
		return errSpent, nil
	case manyFull:
		return errRefused, nil
	default:
		err := fmt.Errorf("%w: it says %d of %v", errProtocol, code, r.Hash)
		return err, err
	}
	if _, err := io.ReadFull(body, buf[:4]); err != nil {
		return cut(err), cut(err)
	}
	if n := binary.BigEndian.Uint32(buf); int64(n) != r.Size {
		return fmt.Errorf("%w: %v has %d bytes, and it sends %d", blob.ErrCorrupt, r.Hash, r.Size, n), errBehind
	}
	text := buf[:r.Size]
	n, err := io.ReadFull(body, text)
	b.got += int64(n)
	if err != nil {
		b.f.wasted(int64(n))
		return cut(err), cut(err)
	}
	_, err = b.f.config.Store.AddBytes(r.Hash, text)
	switch {
	case errors.Is(err, blob.ErrCorrupt):
		b.f.wasted(r.Size)
		return err, errBehind
	case err != nil:
		return localError{err}, localError{err}
	}
	b.f.arrived(r.Size)
	b.count(r.Size)
	return nil, nil
}

// cut is an answer that ends too early.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// watched is what comes of a peer: watched while we wait for it, and no faster than it may be.
type watched struct {
	ctx   context.Context
	r     io.Reader
	watch *watchdog
	rate  *limiter
}

func (w *watched) Read(p []byte) (int, error) {
	w.watch.start()
	n, err := w.r.Read(p)
	w.watch.pause()
	w.watch.progress(n)
	if e := w.rate.wait(w.ctx, n); err == nil {
		err = e
	}
	return n, err
}
