package swarm

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// What peers say to each other, over HTTP/1.1:
//
//	POST /blobs/have     hashes, 32 bytes each, behind one another; the answer has a bit for each, the
//	                     lowest of a byte first
//	GET /blobs/<hash>    the bytes; "Range: bytes=<n>-" leaves out the first n
//	POST /blobs/many     hashes of small blobs; the answer has for each, in their order, what becomes of it and
//	                     its bytes: see many.go. Who answers that says so by headerMany whenever it is asked what
//	                     it has; older nodes do neither.
//
// A node that has sent a blob often enough, or is just sending it, answers 503 and says in headerTurn why;
// headerInsist makes it send the blob all the same.
const (
	pathHave     = "/blobs/have"
	pathMany     = "/blobs/many"
	pathBlob     = "/blobs/"
	headerMany   = "Webfarm-Blob-Many"
	headerTurn   = "Webfarm-Blob-Turn"
	headerInsist = "Webfarm-Blob-Insist"
)

const (
	mostAsked    = 16 << 10         // hashes in one question
	mostSends    = 64               // blobs that are sent at once
	peerSends    = 8                // of them, to one peer
	mostHave     = 16               // questions that are answered at once
	sendPatience = 30 * time.Second // for a peer that does not read
	slowestRead  = 64 << 10         // bytes a second at which a peer has to read
)

// HandlerConfig says how a Handler serves. The zero HandlerConfig serves as fast as it can.
type HandlerConfig struct {
	// Rate is how many bytes a second all peers together are sent; 0 = any number.
	Rate int64

	// Peer names the node at the other end of a connection that Serve has accepted, for the figures and for the
	// share of each; nil = by address.
	Peer func(net.Conn) string
}

// Handler gives peers the blobs of a store. What they ask for is bounded: see DESIGN.md. Behind another
// http.Server than that of Serve it works, too; that one's deadlines for headers and idle connections then
// count.
type Handler struct {
	store  *blob.Store
	config HandlerConfig
	rate   *limiter
	turns  turns
	wait   time.Duration // sendPatience, but for tests

	mu     sync.Mutex
	sends  map[string]int // that are under way, by peer; guarded by mu
	all    int            // guarded by mu
	haves  int            // guarded by mu
	counts HandlerStats   // guarded by mu
}

// HandlerStats are figures of a Handler.
type HandlerStats struct {
	Sent      int64            // bytes
	Blobs     int64            // that were sent to their end
	Refused   int64            // requests that were told to ask later, or others
	Questions int64            // which blobs are there
	Peers     map[string]int64 // bytes sent to each; at most 1,000 are told apart, "" = the others
}

const mostPeersCounted = 1000

// NewHandler returns a Handler for the blobs of a store.
func NewHandler(store *blob.Store, config HandlerConfig) *Handler {
	h := &Handler{store: store, config: config, rate: newLimiter(config.Rate),
		wait: sendPatience, sends: make(map[string]int)}
	h.counts.Peers = make(map[string]int64)
	h.turns.init()
	return h
}

// Stats returns the figures of now.
func (h *Handler) Stats() HandlerStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := h.counts
	st.Peers = make(map[string]int64, len(h.counts.Peers))
	for p, n := range h.counts.Peers {
		st.Peers[p] = n
	}
	return st
}

// peerKey is the key of the peer's name in a connection's context.
type peerKey struct{}

// Serve answers on the connections of a listener until ctx ends or the listener fails. It closes the
// listener, and waits until no request is served any more. It returns nil if ctx has ended.
func (h *Handler) Serve(ctx context.Context, ln net.Listener) error {
	var serving sync.RWMutex
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !serving.TryRLock() {
				panic(http.ErrAbortHandler) // we are at the end
			}
			defer serving.RUnlock()
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // what peers do wrong is theirs to say
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if h.config.Peer == nil {
				return ctx
			}
			return context.WithValue(ctx, peerKey{}, h.config.Peer(c))
		},
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(ln)
	server.Close()
	serving.Lock() // and never unlocked
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, isBlob := strings.CutPrefix(r.URL.Path, pathBlob)
	switch {
	case r.URL.Path == pathHave:
		if allowed(w, r, http.MethodPost) {
			h.have(w, r)
		}
	case r.URL.Path == pathMany:
		if allowed(w, r, http.MethodPost) {
			h.many(w, r)
		}
	case isBlob:
		if allowed(w, r, http.MethodGet) {
			h.get(w, r, name)
		}
	default:
		http.NotFound(w, r)
	}
}

func allowed(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	http.Error(w, "only "+method, http.StatusMethodNotAllowed)
	return false
}

// have answers which of some blobs are here.
func (h *Handler) have(w http.ResponseWriter, r *http.Request) {
	if !h.enter(&h.haves, mostHave) {
		later(w, turnFull)
		return
	}
	defer h.leave(&h.haves)
	asked, ok := h.hashes(w, r, mostAsked)
	if !ok {
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.wait))
	defer http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(headerMany, "1")
	w.Write(h.bitmap(asked))
}

// hashes reads the hashes that a request has, one behind the other. If it has other things, or too many, that is
// answered.
func (h *Handler) hashes(w http.ResponseWriter, r *http.Request, most int64) (asked []byte, ok bool) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.wait))
	asked, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most*int64(len(blob.Hash{}))))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		http.Error(w, "at most "+strconv.FormatInt(most, 10)+" hashes", http.StatusRequestEntityTooLarge)
		return nil, false
	case err != nil || len(asked)%len(blob.Hash{}) != 0:
		http.Error(w, "hashes have 32 bytes each", http.StatusBadRequest)
		return nil, false
	}
	return asked, true
}

// bitmap returns a bit for each hash, the lowest of a byte first.
func (h *Handler) bitmap(hashes []byte) []byte {
	n := len(hashes) / len(blob.Hash{})
	bits := make([]byte, (n+7)/8)
	for i := range n {
		if h.store.Has(blob.Hash(hashes[i*len(blob.Hash{}):])) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}

func peerOf(r *http.Request) string {
	if p, ok := r.Context().Value(peerKey{}).(string); ok {
		return p
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (h *Handler) enter(n *int, most int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *n >= most {
		h.counts.Refused++
		return false
	}
	*n++
	h.counts.Questions++
	return true
}

func (h *Handler) leave(n *int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*n--
}

func (h *Handler) begin(peer string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= mostSends || h.sends[peer] >= peerSends {
		h.counts.Refused++
		return false
	}
	h.all++
	h.sends[peer]++
	return true
}

func (h *Handler) end(peer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all--
	if h.sends[peer]--; h.sends[peer] == 0 {
		delete(h.sends, peer)
	}
}

func (h *Handler) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Refused++
}

func (h *Handler) count(peer string, sent int64, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.counts.Peers[peer]; !known && len(h.counts.Peers) >= mostPeersCounted {
		peer = ""
	}
	h.counts.Peers[peer] += sent
	h.counts.Sent += sent
	if whole {
		h.counts.Blobs++
	}
}
