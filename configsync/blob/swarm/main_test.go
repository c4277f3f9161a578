package swarm

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func openStore(t testing.TB, config blob.StoreConfig) *blob.Store {
	t.Helper()
	if config.Reserve == 0 {
		config.Reserve = -1 // of the disk of whoever runs the tests
	}
	s, err := blob.OpenStore(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill puts count blobs of so many bytes, and returns what they are.
func fill(t testing.TB, s *blob.Store, count, size int) (refs []blob.Ref) {
	t.Helper()
	for _, h := range blobtest.Fill(t, s, count, size) {
		refs = append(refs, blob.Ref{Hash: h, Size: int64(size)})
	}
	return refs
}

func read(s *blob.Store, h blob.Hash) ([]byte, error) {
	f, size, err := s.Open(h)
	return blobtest.Read(f, size, err)
}

// holds fails the test if the store lacks one of refs, or has other bytes.
func holds(t testing.TB, s *blob.Store, refs []blob.Ref) {
	t.Helper()
	if m := s.Missing(refs); len(m) > 0 {
		t.Fatalf("%d of %d are missing", len(m), len(refs))
	}
	for _, r := range refs {
		b, err := read(s, r.Hash)
		if err != nil || blob.Sum(b) != r.Hash {
			t.Fatalf("%v: %d bytes of something else, %v", r.Hash, len(b), err)
		}
	}
}

// swarm is nodes that reach each other by TCP.
type swarm struct {
	mu    sync.Mutex
	addrs map[string]string
}

func (s *swarm) set(id, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addrs == nil {
		s.addrs = make(map[string]string)
	}
	if s.addrs[id] = addr; addr == "" {
		delete(s.addrs, id)
	}
}

func (s *swarm) dial(ctx context.Context, id string) (net.Conn, error) {
	s.mu.Lock()
	addr := s.addrs[id]
	s.mu.Unlock()
	if addr == "" {
		return nil, fmt.Errorf("dial %s: it is not there", id)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// but returns who is present beside one.
func (s *swarm) but(own string) func() []string {
	return func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.DeleteFunc(slices.Sorted(maps.Keys(s.addrs)), func(id string) bool { return id == own })
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serve has a store's blobs served under a name until the test ends.
func (s *swarm) serve(t testing.TB, id string, store *blob.Store, config HandlerConfig) *Handler {
	t.Helper()
	ln, h := listen(t), NewHandler(store, config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve %s: %v", id, err)
			}
		case <-time.After(blobtest.Patience):
			ci.Latef(t, "%s serves on", id)
		}
	})
	s.set(id, ln.Addr().String())
	return h
}

func (s *swarm) fetcher(t testing.TB, id string, store *blob.Store, config FetcherConfig) *Fetcher {
	config.Store, config.Peers, config.Dial = store, s.but(id), s.dial
	f := NewFetcher(config)
	t.Cleanup(f.Close)
	return f
}
