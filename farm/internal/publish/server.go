package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Store is where blobs are kept: a *blob.Store.
type Store interface {
	Add(ctx context.Context, want blob.Hash, r io.Reader) (blob.Hash, error)
	Sync() error
	Missing([]blob.Ref) []blob.Ref
	Room(bytes int64) error
}

// Farm is what a Server needs of the farm.
type Farm interface {
	// Verify opens a seal, and looks whether its credential may publish now, by what is in the log now.
	Verify(ctx context.Context, seal []byte) (credential.Signed, error)

	// Epoch returns the epoch in force.
	Epoch() uint64

	// Conflict returns why a publisher who has looked at an epoch, which is not the one in force, is refused.
	Conflict(looked uint64) error

	// Written reports whether an order was carried out, or is being carried out.
	Written(o credential.Signed) bool

	// Publish carries out an order, of which everything is there, and answers with lines. It reports whether that has
	// come to an end: not if the request was given up before.
	Publish(w http.ResponseWriter, r *http.Request, o Order) (ended bool)
}

// Order is an order with all that it names.
type Order struct {
	credential.Signed
	Config   map[string]string // nil = it stays as it is
	Manifest *content.Manifest // nil = the content stays as it is
	Epoch    uint64            // that must be in force
}

// Config are the settings of a Server.
type Config struct {
	Farm  Farm
	Store Store

	// Node is the beginning of the IDs of uploads, which end with a dot and digits: who gets a request for
	// another node's upload sees whose it is.
	Node string

	// Limits are those of a release.
	Limits content.Limits

	// Stall is how long a publisher may send nothing, within a request; 0 = 30 s.
	Stall time.Duration

	// Idle is how long an upload is kept between two requests; 0 = 15 minutes.
	Idle time.Duration

	Logger *slog.Logger // nil = slog.Default()
}

// Bounds of what a node takes at a time.
const (
	MaxUploads = 4       // that are under way
	maxStreams = 4       // of blobs, for each
	maxBegin   = 2 << 20 // bytes
)

// Server takes uploads. It is an http.Handler, which wants to be called with paths such as / and /ID.
type Server struct {
	c       Config
	uploads uploads
	mux     *http.ServeMux
}

// NewServer returns a server.
func NewServer(c Config) *Server {
	if c.Stall == 0 {
		c.Stall = 30 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = 15 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Server{c: c, mux: http.NewServeMux()}
	s.uploads = uploads{node: c.Node, idle: c.Idle, of: map[string]*upload{}}
	s.mux.HandleFunc("POST /{$}", s.handle(s.begin))
	s.mux.HandleFunc("PUT /{id}/manifest", s.handle(s.manifest))
	s.mux.HandleFunc("GET /{id}", s.handle(s.missing))
	s.mux.HandleFunc("PUT /{id}/blobs", s.handle(s.blobs))
	s.mux.HandleFunc("POST /{id}", s.finish)
	s.mux.HandleFunc("DELETE /{id}", s.handle(s.giveUp))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

// Keeps reports whether an upload that is under way has or needs a blob: what is kept of blobs that no
// release names yet.
func (s *Server) Keeps(h blob.Hash) bool { return s.uploads.keeps(h) }

// handle makes a handler of a function that answers with a value or an error.
func (s *Server) handle(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = &unstalled{body: r.Body, ctl: http.NewResponseController(w), stall: s.c.Stall}
		v, err := f(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v) // who does not take it will ask again
	}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := sayable(err)
	if e.Kind == order.KindFailed {
		s.c.Logger.Error("an upload failed", "request", r.Method+" "+r.URL.Path, "err", err)
	}
	if e.Kind == order.KindOverloaded {
		w.Header().Set("Retry-After", "10")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status())
	json.NewEncoder(w).Encode(order.RolloutLine{Error: e})
}

// kinds are those of errors that others return.
var kinds = []struct {
	err  error
	kind string
}{
	{credential.ErrUnknown, order.KindUnauthorized}, {credential.ErrExpired, order.KindUnauthorized},
	{credential.ErrRevoked, order.KindUnauthorized}, {credential.ErrFarm, order.KindUnauthorized},
	{credential.ErrSignature, order.KindUnauthorized}, {credential.ErrClock, order.KindUnauthorized},
	{credential.ErrFormat, order.KindInvalid}, {credential.ErrOrder, order.KindRefused},
	{content.ErrRefused, order.KindRefused}, {blob.ErrNoRoom, order.KindNoRoom},
	{blob.ErrCorrupt, order.KindRefused}, {blob.ErrTooLarge, order.KindRefused},
	{fault.ErrNoLeader, order.KindNoQuorum}, {fault.ErrUncertain, order.KindUncertain},
	{fault.ErrClosed, order.KindStopping}, {fault.ErrOverloaded, order.KindOverloaded},
}

// sayable returns an error as it is sent.
func sayable(err error) *order.ReleaseError {
	if e, ok := errors.AsType[*order.ReleaseError](err); ok {
		return errorf(e.Kind, "%v", err)
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return errorf(k.kind, "%v", err)
		}
	}
	return errorf(order.KindFailed, "%v", err)
}

// begin looks at an order, before anything else comes.
func (s *Server) begin(r *http.Request) (any, error) {
	var b Begin
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBegin)).Decode(&b); err != nil {
		return nil, unread(err)
	}
	signed, err := s.c.Farm.Verify(r.Context(), b.Seal)
	if err != nil {
		return nil, err
	}
	if (b.Config == nil) != signed.Config.IsZero() {
		return nil, fmt.Errorf("%w: the order and what came with it differ in whether there is configuration",
			credential.ErrOrder)
	}
	if b.Config != nil {
		if err := signed.FitsConfig(b.Config); err != nil {
			return nil, err
		}
	}
	now := s.c.Farm.Epoch()
	if signed.Epoch != nil && *signed.Epoch != now && !s.c.Farm.Written(signed) {
		return nil, errorf(order.KindConflict, "%v", s.c.Farm.Conflict(*signed.Epoch))
	}
	u, err := s.uploads.begin(signed, b.Config, now)
	if err != nil {
		return nil, err
	}
	defer s.uploads.release(u)
	begun := Begun{ID: u.id, Epoch: now}
	if m := u.content(); m != nil {
		begun.Missing = s.lacks(u)
	} else {
		begun.Manifest = !signed.Root.IsZero()
	}
	return begun, nil
}

// unread says why what was sent could not be read.
func unread(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errorf(order.KindRefused, "it is larger than it may be: %v", err)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return errorf(order.KindInvalid, "what came is not understood: %v", err)
	}
	return errorf(order.KindInvalid, "what was sent did not come as a whole: %v", err)
}

// manifest takes what the content consists of.
func (s *Server) manifest(r *http.Request) (any, error) {
	u, err := s.uploads.take(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	defer s.uploads.release(u)
	if u.signed.Root.IsZero() {
		return nil, fmt.Errorf("%w: the order is about no content", credential.ErrOrder)
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, blob.MaxSize))
	if err != nil {
		return nil, unread(err)
	}
	if err := u.signed.FitsContent(blob.Sum(b)); err != nil {
		return nil, err
	}
	m, err := content.Parse(b, s.c.Limits)
	if err != nil {
		return nil, err
	}
	u.setContent(m)
	missing := s.lacks(u)
	if err := s.c.Store.Room(missing.Bytes); err != nil {
		u.setContent(nil)
		return nil, err
	}
	if err := s.add(r.Context(), m.Root(), b); err != nil {
		return nil, err
	}
	return missing, s.c.Store.Sync()
}

// lacks returns what this node lacks.
func (s *Server) lacks(u *upload) Missing {
	m := Missing{Blobs: []blob.Hash{}}
	for _, ref := range s.c.Store.Missing(u.refs()) {
		m.Blobs = append(m.Blobs, ref.Hash)
		m.Bytes += ref.Size
	}
	return m
}

func (s *Server) missing(r *http.Request) (any, error) {
	u, err := s.uploads.take(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	defer s.uploads.release(u)
	return s.lacks(u), nil
}

func (s *Server) giveUp(r *http.Request) (any, error) {
	s.uploads.drop(r.PathValue("id"))
	return struct{}{}, nil
}
