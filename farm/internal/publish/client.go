package publish

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// Source has the blobs that are published.
type Source interface {
	Open(blob.Hash) (blob.File, int64, error)
}

// Client publishes to a node.
type Client struct {
	HTTP *http.Client
	URL  string // of a Server, such as https://www.example.com/publish

	// Sent, if any, is told how many bytes of how many have been sent.
	Sent func(sent, of int64)

	// Again is how long to wait before what has failed is tried again; 0 = a second.
	Again time.Duration

	// Patience is how long it goes on without any news, once a node has answered; 0 = 30 s.
	Patience time.Duration

	// Trouble, if any, is told why something is tried again.
	Trouble func(error)

	// Elsewhere, if any, has the next request go to another node: the one that answered last cannot do what is asked, or
	// is slow. A connection that broke has the next one go to the same node, which has a part of the upload, unless that
	// cannot be reached.
	Elsewhere func()
}

// ErrUnreachable says that the node could not be reached, or the connection ended before anything was
// published.
var ErrUnreachable = errors.New("the node cannot be reached")

// ErrInterrupted says that nothing was heard any more after the order was given: it may or may not have been
// carried out. To publish again is safe: what is in force already is not published twice.
var ErrInterrupted = errors.New("the connection ended before the answer")

// ErrUnknown is ErrInterrupted where nodes were asked again, and none could say what had come of the order.
var ErrUnknown = fmt.Errorf("%w, and no node could say since what has come of the order", ErrInterrupted)

const maxAnswer = 8 << 20 // bytes, for 50 000 files and more

// Publish has an order carried out: it sends what the node lacks, goes on when it is cut off, and tells how
// far the nodes are. Where it is not known what has become of the order it gives the same one again, to whatever node
// answers, until one can say: its key sees to it that it is carried out once.
//
// An *order.ReleaseError is the node's; others are ErrUnreachable, ErrInterrupted, ErrUnknown, and those of the
// source and of ctx.
func (c *Client) Publish(ctx context.Context, s credential.Signed, config map[string]string, src Source,
	tell func(*order.Rollout)) (order.ReleaseResult, error) {
	t := trial{c: c, left: -1, news: time.Now(), once: s.Plan.Dry || s.Preview > 0}
	for {
		res, err := c.publishOnce(ctx, s, config, src, tell, &t)
		if err == nil || !t.again(ctx, err) {
			return res, t.verdict(err)
		}
	}
}

func (c *Client) publishOnce(ctx context.Context, s credential.Signed, config map[string]string, src Source,
	tell func(*order.Rollout), t *trial) (order.ReleaseResult, error) {
	t.took = false
	id, missing, err := c.upload(ctx, s, config, src)
	t.uploading(missing)
	if err != nil {
		return order.ReleaseResult{}, err
	}
	res, took, err := c.finish(ctx, id, func(l order.RolloutLine) {
		t.line(l)
		if tell != nil && l.Progress != nil {
			tell(l.Progress)
		}
	})
	t.given, t.took = t.given || isUncertain(err), took
	return res, err
}

// upload sends what the node lacks. It returns the upload's ID, and how many bytes were missing when it began; -1 =
// unknown.
func (c *Client) upload(ctx context.Context, s credential.Signed, config map[string]string, src Source) (
	id string, missing int64, err error) {
	b, err := json.Marshal(Begin{Seal: s.Seal, Config: config})
	if err != nil {
		return "", -1, err
	}
	var begun Begun
	if err := c.do(ctx, http.MethodPost, "/", bytes.NewReader(b), &begun); err != nil {
		return "", -1, err
	}
	id = begun.ID
	lacks := begun.Missing
	if begun.Manifest {
		manifest, err := readBlob(src, s.Root)
		if err != nil {
			return "", -1, err
		}
		if err := c.do(ctx, http.MethodPut, "/"+id+"/manifest", bytes.NewReader(manifest), &lacks); err != nil {
			return "", -1, err
		}
	}
	missing = lacks.Bytes
	if len(lacks.Blobs) == 0 {
		return id, 0, nil
	}
	after := Missing{}
	body := &stream{src: src, left: lacks.Blobs, of: lacks.Bytes, sent: c.Sent}
	defer body.Close()
	err = c.do(ctx, http.MethodPut, "/"+id+"/blobs", body, &after)
	failed := body.failed()
	switch {
	case failed != nil:
		return "", missing, fmt.Errorf("%w: %w", errSource, failed)
	case err != nil:
		return "", missing, err
	case len(after.Blobs) > 0:
		return "", missing, errorf(order.KindNoUpload, "the node lacks %d blobs although all were sent",
			len(after.Blobs))
	}
	return id, missing, nil
}

var errSource = errors.New("what is to be published cannot be read")

func readBlob(src Source, h blob.Hash) ([]byte, error) {
	f, _, err := src.Open(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	return b, nil
}

// do sends a request, and takes its answer.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader, v any) error {
	res, err := c.send(ctx, method, path, body)
	if _, said := errors.AsType[*order.ReleaseError](err); said {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("%w: its answer was cut off: %w", ErrUnreachable, err)
	}
	return nil
}

// send returns an answer that is no error.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	var l order.RolloutLine
	if json.Unmarshal(b, &l) == nil && l.Error != nil {
		return nil, l.Error
	}
	return nil, c.notOfNode(res)
}

// notOfNode is the error of an answer that no node gave: those of nodes are in JSON. Something in front of the farm
// gave it, or what is there is no farm.
func (c *Client) notOfNode(res *http.Response) error {
	refused := func(what string) error {
		return errorf(order.KindFailed, "%s answers %s, %s", c.URL, res.Status, what)
	}
	passing := func(what string) error {
		return &passingError{fmt.Sprintf("%s answers %s, as a proxy does %s", c.URL, res.Status, what), retryAfter(res)}
	}
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return passing("whose nodes do not answer")
	case http.StatusRequestTimeout:
		return passing("that does not wait for a long upload")
	case http.StatusTooManyRequests:
		return passing("that counts requests")
	case http.StatusRequestEntityTooLarge:
		return refused("as a proxy in front of the farm does whose limit for bodies is too low: raise it for this path, " +
			"with nginx by `client_max_body_size 0`")
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return refused("which no node of a farm does: something in front of it wants to know who you are, or lets " +
			"nobody in; let this path through, since each order is signed")
	}
	return refused("which no node of a farm does: is publishing switched on there (Config.PublishPath), and the path " +
		"right?")
}

// passingError is an answer of a proxy that may be another one later.
type passingError struct {
	text string
	wait time.Duration // what the proxy asks for; 0 = it does not say
}

func (e *passingError) Error() string { return e.text }

// retryAfter returns how long an answer asks its client to wait, up to half a minute. A date counts as nothing: clocks
// differ.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, patience)
}

// finish has the order carried out. took says that the node has taken it, so that its error is of the order. each gets
// what the node says meanwhile: first that it has taken it.
func (c *Client) finish(ctx context.Context, id string, each func(order.RolloutLine)) (out order.ReleaseResult, took bool,
	err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(order.SilentAfter, func() { cancel(order.ErrSilent) })
	defer slow.Stop()
	res, err := c.send(within, http.MethodPost, "/"+id, nil)
	if _, said := errors.AsType[*order.ReleaseError](err); said {
		return out, false, err
	}
	if err == nil && !slow.Stop() {
		res.Body.Close()
		err = order.ErrSilent
	}
	if err != nil {
		return out, false, interrupted(within, err)
	}
	each(order.RolloutLine{})
	result, err := order.ReadLines(res.Body, each)
	if err != nil {
		return out, true, interrupted(within, err)
	}
	return *result, true, nil
}

// interrupted says what an error means after an order was given; the node's own word is as it is.
func interrupted(ctx context.Context, err error) error {
	if _, said := errors.AsType[*order.ReleaseError](err); said {
		return err
	}
	if why := context.Cause(ctx); why != nil {
		err = why
	}
	return fmt.Errorf("%w: %w", ErrInterrupted, err)
}

// stream is the body with the blobs.
type stream struct {
	src  Source
	left []blob.Hash
	head []byte
	now  blob.File
	done int64
	of   int64
	sent func(sent, of int64)

	mu  sync.Mutex // whoever sends may still read when the answer has come
	err error      // of the source
}

// failed returns the error of the source, if there was one.
func (s *stream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.head) > 0 {
			n := copy(b, s.head)
			s.head = s.head[n:]
			return n, nil
		}
		if s.now != nil {
			n, err := s.now.Read(b)
			if s.done += int64(n); n > 0 && s.sent != nil {
				s.sent(s.done, s.of)
			}
			if err == io.EOF {
				s.now.Close()
				s.now, err = nil, nil
			}
			if err != nil {
				s.err = err
			}
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if len(s.left) == 0 {
			return 0, io.EOF
		}
		h := s.left[0]
		f, size, err := s.src.Open(h)
		if err != nil {
			s.err = err
			return 0, err
		}
		s.left, s.now = s.left[1:], f
		s.head = binary.BigEndian.AppendUint64(h[:], uint64(size))
	}
}

func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = nil
	if s.now != nil {
		s.now.Close()
		s.now = nil
	}
	return nil
}
