package farmctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// programClient asks the program of a node over HTTP: what is large, or takes long.
type programClient struct{ http http.Client }

// programOf returns a client for the program of the first node that can be reached.
func (c *call) programOf(client *admin.Client) *programClient {
	p := &programClient{http.Client{Transport: &http.Transport{DisableCompression: true, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return client.Dial(ctx) }}}}
	c.leaves = append(c.leaves, p.close) // a connection that is kept leads to the same node
	return p
}

// close closes its connections.
func (p *programClient) close() { p.http.CloseIdleConnections() }

// do sends a request and returns an answer of a status below 300. body may be nil.
func (p *programClient) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://program"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, interruptedHTTP(ctx, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, interruptedHTTP(ctx, err)
	}
	var l order.RolloutLine
	if json.Unmarshal(text, &l) == nil && l.Error != nil {
		return nil, asSaid(l.Error)
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: the program of that node is older: update it, or ask another node (-node)",
			admin.ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: %s: %s", admin.ErrRefused, res.Status, printable(string(bytes.TrimSpace(text))))
}

// interruptedHTTP says what an error on the way means; one of the dial is as it is.
func interruptedHTTP(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok { // whose URL is none that anybody has given
		err = e.Err
	}
	for _, known := range []error{admin.ErrUnreachable, admin.ErrNotAuthorized, admin.ErrUnsupported} {
		if errors.Is(err, known) {
			return err
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%w: %w", admin.ErrInterrupted, err)
}

// asSaid is an error of a program's, with the exit code that goes with it.
func asSaid(e *order.ReleaseError) error {
	as := admin.ErrRefused
	switch e.Kind {
	case order.KindNoQuorum:
		as = admin.ErrNoQuorum
	case order.KindUnauthorized:
		as = admin.ErrNotAuthorized
	case order.KindUncertain:
		as = admin.ErrInterrupted
	case order.KindStopping:
		as = admin.ErrUnreachable
	case order.KindOverloaded:
		as = admin.ErrNotNow
	case order.KindInvalid:
		return &saidError{e.Text, errUsage, true}
	}
	text := fmt.Sprintf("%v: %s", as, e.Text)
	switch {
	case e.Kind == order.KindReturned || strings.HasPrefix(e.Text, "refused"): // it says so itself
		text = e.Text
	case e.Kind == order.KindOverwrite:
		text += "; -overwrite does it all the same"
	}
	return &saidError{text, as, e.Final()}
}

// saidError is what a program has said: a text that says all, and which error it is.
type saidError struct {
	text  string
	is    error
	final bool // it says what has become of what was asked for
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.is }

// get puts the answer to a question into v.
func (p *programClient) get(ctx context.Context, path string, v any) error {
	res, err := p.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return interruptedHTTP(ctx, err)
	}
	return nil
}

// post sends q. What comes back, if anything, goes line by line to each, which is nil if nothing is to come: first a
// zero one when the node has begun to answer, last the result.
func (p *programClient) post(ctx context.Context, path string, q any, each func(order.RolloutLine) error) error {
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	res, err := p.do(ctx, http.MethodPost, path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if each == nil {
		return nil
	}
	if err := each(order.RolloutLine{}); err != nil {
		return err
	}
	result, err := order.ReadLines(res.Body, func(l order.RolloutLine) { each(l) })
	if e, ok := errors.AsType[*order.ReleaseError](err); ok {
		return asSaid(e)
	}
	if err != nil {
		return interruptedHTTP(ctx, err)
	}
	return each(order.RolloutLine{Result: result})
}
