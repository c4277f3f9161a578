package swarm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// holding is what a peer says that it has.
type holding struct {
	bits []byte // one for each blob that it was asked about
	many bool   // it sends many small blobs in one answer
}

// have asks a peer which of some blobs it has.
func (f *Fetcher) have(ctx context.Context, peer string, hashes []blob.Hash) (holding, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.config.Stall, errStalled)
	defer cancel()
	has, err := f.askHave(ctx, peer, hashes)
	if err != nil {
		return holding{}, because(ctx, err)
	}
	return has, nil
}

// post sends hashes, one behind the other, to a path of a peer's.
func (f *Fetcher) post(ctx context.Context, peer, path string, hashes []blob.Hash) (*http.Response, error) {
	body := make([]byte, 0, len(hashes)*len(blob.Hash{}))
	for _, h := range hashes {
		body = append(body, h[:]...)
	}
	url := "http://" + addressOf(peer) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header["Idempotency-Key"] = nil // is not sent; an idle connection that has died is no failure then
	return f.transport.RoundTrip(req)
}

func (f *Fetcher) askHave(ctx context.Context, peer string, hashes []blob.Hash) (has holding, err error) {
	resp, err := f.post(ctx, peer, pathHave, hashes)
	if err != nil {
		return has, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return has, errRefused
	default:
		return has, fmt.Errorf("%w: %.80s", errProtocol, resp.Status)
	}
	want := (len(hashes) + 7) / 8
	has.many = resp.Header.Get(headerMany) != ""
	has.bits, err = io.ReadAll(io.LimitReader(resp.Body, int64(want)+1))
	if err == nil && len(has.bits) != want {
		err = fmt.Errorf("%w: %d bytes say what it has, and not %d", errProtocol, len(has.bits), want)
	}
	return has, err
}
