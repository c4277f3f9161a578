//go:build unix

package swarm

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// There are no descriptors for connections. Nobody is blamed for it. When there are some again Fetch goes on;
// if that takes too long, it says what to do.
func TestFetchWithoutDescriptors(t *testing.T) {
	var sw swarm
	seed := openStore(t, blob.StoreConfig{})
	refs := fill(t, seed, 20, 1000)
	sw.serve(t, "seed", seed, HandlerConfig{})
	var refused atomic.Int64
	none := func(until int64) func(context.Context, string) (net.Conn, error) {
		return func(ctx context.Context, id string) (net.Conn, error) {
			if refused.Add(1) <= until {
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			return sw.dial(ctx, id)
		}
	}
	store := openStore(t, blob.StoreConfig{})
	f := NewFetcher(FetcherConfig{Store: store, Peers: sw.but("n1"), Dial: none(3), Patience: blobtest.Patience})
	defer f.Close()
	ci.Awaited(t, "fetch", f.Fetch(blobtest.Context(t), refs, nil))
	holds(t, store, refs)
	if p := f.Stats().Peers["seed"]; p.Failed+p.Stalled+p.Corrupt > 0 {
		t.Errorf("the seed is blamed: %+v", p)
	}

	empty := openStore(t, blob.StoreConfig{})
	f = NewFetcher(FetcherConfig{Store: empty, Peers: sw.but("n1"), Dial: none(1 << 40),
		Patience: 100 * time.Millisecond})
	defer f.Close()
	err := f.Fetch(blobtest.Context(t), refs, nil)
	if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "raise the limit") {
		t.Errorf("for ever: %v", err)
	}
}
