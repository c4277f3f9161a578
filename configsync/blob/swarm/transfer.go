package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// What peers answer. What is errRefused is no fault of theirs.
var (
	errRefused  = errors.New("asks to come later")
	errBusy     = fmt.Errorf("%w: it sends the blob to somebody", errRefused)
	errSpent    = fmt.Errorf("%w: it has sent the blob often enough", errRefused)
	errMixed    = fmt.Errorf("%w: what came from it and others does not fit", errRefused) // or another's fault
	errHasNot   = errors.New("does not have what it said it has")
	errStalled  = errors.New("too little came for too long")
	errProtocol = errors.New("does not answer what was asked")
)

// localError is one of our own disk.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

func isLocal(err error) bool {
	var e localError
	return errors.As(err, &e)
}

// leastProgress is how many bytes have to come within FetcherConfig.Stall.
const leastProgress = 8 << 10

// transfer is one request for a blob, or for the rest of it.
type transfer struct {
	f      *Fetcher
	peer   string
	ref    blob.Ref
	insist bool
	mixed  bool              // part is of several peers
	part   *blob.Writer      // what came before; nil = nothing
	got    int64             // bytes of this request
	count  func(bytes int64) // is told of each piece, and of what is thrown away
}

// run returns nil when the blob is in the store. After another error t.part is what there is of it, if
// anything.
func (t *transfer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatchdog(t.f.config.Stall, func() { cancel(errStalled) })
	defer watch.stop()
	watch.start()
	resp, err := t.ask(ctx)
	watch.pause()
	if err != nil {
		return because(ctx, err)
	}
	defer resp.Body.Close()
	if err := t.begin(resp); err != nil {
		return err
	}
	if err := t.copy(ctx, resp.Body, watch); err != nil {
		return because(ctx, err)
	}
	return t.finish()
}

// because prefers the reason for which we ended the request to what came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !isLocal(err) {
		return cause
	}
	return err
}

func (t *transfer) ask(ctx context.Context) (*http.Response, error) {
	url := "http://" + addressOf(t.peer) + pathBlob + t.ref.Hash.String()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if t.part != nil && t.part.Len() > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(t.part.Len(), 10)+"-")
	}
	if t.insist {
		req.Header.Set(headerInsist, "1")
	}
	return t.f.transport.RoundTrip(req)
}

// begin looks at the header of an answer.
func (t *transfer) begin(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK: // from the beginning
		t.drop()
	case http.StatusPartialContent:
		want := contentRange(t.offset(), t.ref.Size)
		if got := resp.Header.Get("Content-Range"); got != want || t.part == nil {
			return fmt.Errorf("%w: it sends %.80q of %v, and not %s", errProtocol, got, t.ref.Hash, want)
		}
		t.f.resumed()
	case http.StatusNotFound:
		return errHasNot
	case http.StatusServiceUnavailable:
		switch resp.Header.Get(headerTurn) {
		case turnSpent:
			return errSpent
		case turnBusy:
			return errBusy
		}
		return errRefused
	default:
		return fmt.Errorf("%w: %.80s", errProtocol, resp.Status)
	}
	if n := t.ref.Size - t.offset(); resp.ContentLength != n {
		return fmt.Errorf("%w: of %v %d bytes are left, and it sends %d",
			blob.ErrCorrupt, t.ref.Hash, n, resp.ContentLength)
	}
	if t.part != nil {
		return nil
	}
	part, err := t.f.config.Store.Create()
	if err != nil {
		return localError{err}
	}
	t.part = part
	return nil
}

func (t *transfer) offset() int64 {
	if t.part == nil {
		return 0
	}
	return t.part.Len()
}

// drop throws away what there is of the blob.
func (t *transfer) drop() {
	if t.part != nil {
		t.count(-t.part.Len())
		t.f.wasted(t.part.Len())
		t.part.Discard()
		t.part = nil
	}
}

// copy reads the body to its end. The watchdog barks only while we wait for the peer.
func (t *transfer) copy(ctx context.Context, body io.Reader, watch *watchdog) error {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	from := watched{ctx, body, watch, t.f.rate}
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			t.got += int64(n)
			if _, err := t.part.Write(buf[:n]); err != nil {
				return localError{err}
			}
			t.count(int64(n))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *transfer) finish() error {
	_, err := t.part.Finish(t.ref.Hash)
	switch {
	case errors.Is(err, blob.ErrCorrupt) && t.mixed:
		t.drop()
		return errMixed
	case errors.Is(err, blob.ErrCorrupt):
		t.drop()
		return err
	case err != nil:
		t.drop()
		return localError{err}
	}
	t.f.arrived(t.ref.Size)
	t.part.Discard() // somebody else may have been faster
	t.part = nil
	return nil
}
