package swarm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// have asks a peer which of some blobs it has. The answer has a bit for each.
func (f *Fetcher) have(ctx context.Context, peer string, hashes []blob.Hash) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.config.Stall, errStalled)
	defer cancel()
	bits, err := f.askHave(ctx, peer, hashes)
	if err != nil {
		return nil, because(ctx, err)
	}
	return bits, nil
}

func (f *Fetcher) askHave(ctx context.Context, peer string, hashes []blob.Hash) ([]byte, error) {
	body := make([]byte, 0, len(hashes)*len(blob.Hash{}))
	for _, h := range hashes {
		body = append(body, h[:]...)
	}
	url := "http://" + addressOf(peer) + pathHave
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header["Idempotency-Key"] = nil // is not sent; an idle connection that has died is no failure then
	resp, err := f.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return nil, errRefused
	default:
		return nil, fmt.Errorf("%w: %.80s", errProtocol, resp.Status)
	}
	want := (len(hashes) + 7) / 8
	bits, err := io.ReadAll(io.LimitReader(resp.Body, int64(want)+1))
	if err == nil && len(bits) != want {
		err = fmt.Errorf("%w: %d bytes say what it has, and not %d", errProtocol, len(bits), want)
	}
	return bits, err
}
