package swarm

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// FetcherConfig says from whom a Fetcher takes blobs. Store, Peers and Dial are needed.
type FetcherConfig struct {
	// Store gets the blobs.
	Store *blob.Store

	// Peers returns the ids of the nodes that are present, without this one. It is asked often, so it has to be
	// quick: a Roster keeps such a list. It must not change what it has returned.
	Peers func() []string

	// Dial connects to a peer's Handler.
	Dial func(ctx context.Context, peer string) (net.Conn, error)

	// Streams is how many blobs come in at once, 0 = 16; PeerStreams how many of them from one peer, 0 = 4.
	Streams, PeerStreams int

	// Rate is how many bytes a second come in; 0 = any number.
	Rate int64

	// Stall is for how long a peer may send nothing, or next to nothing, before another one is asked; 0 = 5 s.
	Stall time.Duration

	// Patience is how long Fetch goes on asking while nothing comes from anybody; 0 = 15 s.
	Patience time.Duration
}

// Fetcher brings blobs from peers into a store. All methods may be called by several goroutines at once; they
// share the bounds on streams and bytes.
type Fetcher struct {
	config    FetcherConfig
	transport *http.Transport
	rate      *limiter
	insist    time.Duration // insistAfter, but for tests

	mu     sync.Mutex
	peers  map[string]*peer // guarded by mu
	active int              // streams; guarded by mu
	counts FetcherStats     // Peers apart; guarded by mu
}

// insistAfter is how long nobody may have had a turn for a blob before one insists on it.
const insistAfter = 2 * time.Second

// NewFetcher returns a Fetcher. Close it.
func NewFetcher(config FetcherConfig) *Fetcher {
	config.Streams = cmp.Or(max(config.Streams, 0), 16)
	config.PeerStreams = cmp.Or(max(config.PeerStreams, 0), 4)
	config.Stall = cmp.Or(config.Stall, 5*time.Second)
	config.Patience = cmp.Or(config.Patience, 15*time.Second)
	f := &Fetcher{config: config, rate: newLimiter(config.Rate), insist: insistAfter,
		peers: make(map[string]*peer)}
	f.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			id, err := idOf(addr)
			if err != nil {
				return nil, err
			}
			return config.Dial(ctx, id)
		},
		DisableCompression:     true,
		MaxConnsPerHost:        config.PeerStreams + 1, // one is for questions
		MaxIdleConnsPerHost:    config.PeerStreams + 1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
	}
	return f
}

// Close closes the connections that are idle. Fetch ends by its context.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }
