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
	"github.com/seed48eb2e21/webfarm/internal/bubble"
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

// What a peer says counts also if it takes longer to say it than Fetch has patience, as on a machine that is busy:
// nobody is called to have nothing who is just being asked for the first time.
func TestFetchWithoutDescriptors_Late(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := NewFetcher(FetcherConfig{Store: openStore(t, blob.StoreConfig{}),
			Peers: func() []string { return []string{"seed", "n1"} },
			Dial: func(context.Context, string) (net.Conn, error) {
				time.Sleep(time.Second)
				return nil, os.NewSyscallError("socket", syscall.EMFILE)
			},
			Patience: 100 * time.Millisecond})
		defer f.Close()
		begin := time.Now()
		err := f.Fetch(t.Context(), []blob.Ref{{Hash: blob.Sum([]byte("abc")), Size: 3}}, nil)
		if !errors.Is(err, syscall.EMFILE) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Second) // for connections that nobody waits for any more
	})
}

// A peer that never answers is not waited for longer than Stall.
func TestFetchWithoutAnswers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		defer close(ended)
		f := NewFetcher(FetcherConfig{Store: openStore(t, blob.StoreConfig{}), Peers: func() []string { return []string{"n1"} },
			Dial: func(context.Context, string) (net.Conn, error) {
				<-ended
				return nil, net.ErrClosed
			},
			Patience: 100 * time.Millisecond, Stall: 2 * time.Second})
		defer f.Close()
		begin := time.Now()
		err := f.Fetch(t.Context(), []blob.Ref{{Hash: blob.Sum([]byte("abc")), Size: 3}}, nil)
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), errStalled.Error()) {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
