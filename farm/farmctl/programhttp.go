package farmctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// programClient asks the program of a node over HTTP: what is large, or takes long.
type programClient struct{ http http.Client }

// program returns a client for the program of the first node that can be reached.
func programOf(c *admin.Client) *programClient {
	return &programClient{http.Client{Transport: &http.Transport{DisableCompression: true, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx) }}}}
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
		return nil, said(l.Error)
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: the program of that node is older", admin.ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: %s: %s", admin.ErrRefused, res.Status, printable(string(bytes.TrimSpace(text))))
}

// interruptedHTTP says what an error on the way means; one of the dial is as it is.
func interruptedHTTP(ctx context.Context, err error) error {
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

// said is an error of a program's, with the exit code that goes with it.
func said(e *order.ReleaseError) error {
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
	case order.KindOverwrite:
		return fmt.Errorf("%w: %s; -overwrite does it all the same", as, e.Text)
	case order.KindInvalid:
		return usage("%s", e.Text)
	}
	if e.Kind == order.KindReturned || strings.HasPrefix(e.Text, "refused") { // it says so itself
		return &saidError{e.Text, as}
	}
	return fmt.Errorf("%w: %s", as, e.Text)
}

// saidError is an error whose text says all, and what it is.
type saidError struct {
	text string
	is   error
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

// post sends q. What comes back, if anything, goes line by line to each, which is nil if nothing is to come.
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
	return eachLine(ctx, res.Body, each)
}

// eachLine reads lines until the one that is the result, or an error.
func eachLine(ctx context.Context, r io.Reader, each func(order.RolloutLine) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l order.RolloutLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return interruptedHTTP(ctx, err)
		}
		if l.Error != nil {
			return said(l.Error)
		}
		if err := each(l); err != nil || l.Result != nil {
			return err
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return interruptedHTTP(ctx, err)
}
