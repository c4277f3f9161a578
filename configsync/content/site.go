package content

import (
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// SiteConfig says how a release is served. The zero value works.
type SiteConfig struct {
	// Cache keeps small files in memory. It is for all sites of a node; nil reads every file from Blobs each
	// time.
	Cache *Cache

	// Failed is told of a file which cannot be read, whose request was answered by 503; nil tells nobody.
	Failed func(path string, err error)
}

// Site serves the folder public of a release, at the same paths: /dir/ is dir/index.html there, /dir leads to
// /dir/, and what is not there is public/404.html, if there is that. DESIGN.md says what is in the headers,
// and why. The same request gets the same answer from all nodes.
type Site struct {
	// by path without its first slash; a folder's ends with a slash, and is nil without it
	entries  map[string]*entry
	notFound *entry
	blobs    Blobs
	cfg      SiteConfig
	release  Activation
	modified []string
}

// Activation says when and as what a site is in force.
type Activation struct {
	ID    string // of the release
	Epoch uint64 // the switch that brought it into force

	// Turn is how often clients of some share have been given another release without a new epoch: of two states of
	// a farm the later one has neither a lower Epoch nor a lower Turn.
	Turn uint64

	// Activated is when that was, from the log, so that all nodes say the same in Last-Modified. It has to be
	// of a later second than that of the epoch before. The zero time leaves Last-Modified away.
	Activated time.Time
}

// NewSite returns what serves a release. It takes time and memory in proportion to the files, and none per
// request later; so it is made while a release is staged, and As is what the switch needs.
func NewSite(m *Manifest, blobs Blobs, cfg SiteConfig) *Site {
	s := &Site{entries: make(map[string]*entry), blobs: blobs, cfg: cfg}
	for i := range m.Files {
		f := &m.Files[i]
		p, ok := strings.CutPrefix(f.Path, "public/")
		if !ok {
			continue
		}
		e := newEntry(f)
		s.entries[p] = e
		if dir, ok := strings.CutSuffix(p, "index.html"); ok && (dir == "" || dir[len(dir)-1] == '/') {
			s.entries[dir] = e
			if dir != "" {
				s.entries[strings.TrimSuffix(dir, "/")] = nil
			}
		}
		if p == "404.html" {
			s.notFound = e
		}
	}
	return s
}

// As returns the same site as what a switch made of it. It does no work.
func (s *Site) As(r Activation) *Site {
	as := *s
	as.release, as.modified = r, nil
	as.release.Activated = r.Activated.UTC().Truncate(time.Second)
	if !r.Activated.IsZero() {
		as.modified = []string{as.release.Activated.Format(http.TimeFormat)}
	}
	return &as
}

// Activation returns what As was given.
func (s *Site) Activation() Activation { return s.release }

// ServeHTTP serves a request for a file.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r) {
		return
	}
	e, ok := s.find(r.URL.Path)
	s.serve(w, r, e, ok)
}

var allow = []string{"GET, HEAD"}

func allowed(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header()["Allow"] = allow
	plainError(w, http.StatusMethodNotAllowed)
	return false
}

// find returns what is at a path; nil and true is a folder without its last slash.
func (s *Site) find(p string) (*entry, bool) {
	if p == "" || p[0] != '/' {
		return nil, false
	}
	e, ok := s.entries[p[1:]]
	return e, ok
}

func (s *Site) serve(w http.ResponseWriter, r *http.Request, e *entry, ok bool) {
	switch {
	case ok && e == nil:
		redirect(w, r)
	case ok:
		s.serveEntry(w, r, e)
	default:
		s.serveNotFound(w, r)
	}
}

// redirect leads from /a/dir to /a/dir/. What it says is relative, so that it is right below any prefix and
// leads to no other host.
func redirect(w http.ResponseWriter, r *http.Request) {
	to := "./" + (&url.URL{Path: path.Base(r.URL.Path)}).EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header()["Cache-Control"] = noCache
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
}

var (
	noCache        = []string{"no-cache"}
	immutable      = []string{"public, max-age=31536000, immutable"}
	varyByEncoding = []string{"Accept-Encoding"}
	acceptRanges   = []string{"bytes"}
)

func (s *Site) serveEntry(w http.ResponseWriter, r *http.Request, e *entry) {
	h := w.Header()
	if e.vary {
		addVary(h)
	}
	p := e.choose(r.Header)
	if p == nil {
		plainError(w, http.StatusNotAcceptable)
		return
	}
	e.describe(h, p)
	h["Etag"] = p.etag()
	h["Accept-Ranges"] = acceptRanges
	if s.modified != nil {
		h["Last-Modified"] = s.modified
	}
	if status := precondition(r, p.tag(), s.release.Activated); status != 0 {
		delete(h, "Content-Type")
		delete(h, "Content-Encoding")
		w.WriteHeader(status)
		return
	}
	if parts := partsWanted(r, p.tag(), p.size); parts != "" {
		s.serveRange(w, parts, e, p)
		return
	}
	s.send(w, r, e, p, http.StatusOK)
}

// describe sets the fields that say what a representation is. What the program has said of it stays.
func (e *entry) describe(h http.Header, p *rep) {
	if h["Content-Type"] == nil {
		h["Content-Type"] = e.contentType()
	}
	if p.encoded() {
		h["Content-Encoding"] = p.encoding()
	}
	if _, ok := h["Cache-Control"]; !ok {
		if e.file.Immutable {
			h["Cache-Control"] = immutable
		} else {
			h["Cache-Control"] = noCache
		}
	}
}

// send sends all of a representation.
func (s *Site) send(w http.ResponseWriter, r *http.Request, e *entry, p *rep, status int) {
	data, f, err := s.open(p)
	if err != nil {
		s.failed(w, e, err)
		return
	}
	if f != nil {
		defer f.Close()
	}
	w.Header()["Content-Length"] = p.length()
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if f == nil {
		w.Write(data)
		return
	}
	if n, err := io.CopyN(w, f, p.size); err != nil {
		s.cutShort(e, f, n)
	}
}

// cutShort ends a response of which n bytes were sent, so that the client sees that it is not whole. Whether
// the client went away or the file is damaged is what reading on says.
func (s *Site) cutShort(e *entry, f blob.File, n int64) {
	if _, err := f.ReadAt(make([]byte, 1), n); err != nil && s.cfg.Failed != nil {
		s.cfg.Failed(e.file.Path, err)
	}
	panic(http.ErrAbortHandler)
}

// open returns a representation from memory, or opened.
func (s *Site) open(p *rep) ([]byte, blob.File, error) {
	if data := p.cached.Load().get(); data != nil {
		return data, nil, nil
	}
	if len(p.chunks) == 0 {
		it, err := s.cfg.Cache.load(s.blobs, blob.Ref{Hash: p.hash, Size: p.size})
		if err != nil {
			return nil, nil, err
		}
		if data := it.get(); data != nil {
			p.cached.Store(it)
			return data, nil, nil
		}
	}
	f, err := open(s.blobs, p.hash, p.size, p.chunks)
	return nil, f, err
}

func (s *Site) failed(w http.ResponseWriter, e *entry, err error) {
	if s.cfg.Failed != nil {
		s.cfg.Failed(e.file.Path, err)
	}
	h := w.Header()
	for _, name := range []string{"Etag", "Last-Modified", "Content-Encoding", "Accept-Ranges",
		"Cache-Control"} {
		delete(h, name)
	}
	h["Retry-After"] = []string{"1"}
	plainError(w, http.StatusServiceUnavailable)
}

func (s *Site) serveNotFound(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	mayComeLater(h)
	e := s.notFound
	if e == nil {
		plainError(w, http.StatusNotFound)
		return
	}
	if e.vary {
		addVary(h)
	}
	p := e.choose(http.Header{"Accept-Encoding": r.Header["Accept-Encoding"]})
	if p == nil {
		plainError(w, http.StatusNotFound)
		return
	}
	delete(h, "Content-Type") // what the program has said is of a file that is not there
	e.describe(h, p)
	s.send(w, r, e, p, http.StatusNotFound)
}

// mayComeLater has a path that is nothing here be asked for again, as the next release may have it. What the program
// has said of caches is of a file that is there; but that no other client may have the answer stays so.
func mayComeLater(h http.Header) {
	said := strings.ToLower(strings.Join(h["Cache-Control"], ","))
	if !strings.Contains(said, "private") && !strings.Contains(said, "no-store") {
		h["Cache-Control"] = noCache
	} else if !strings.Contains(said, "no-cache") && !strings.Contains(said, "no-store") {
		h["Cache-Control"] = private
	}
}

func addVary(h http.Header) {
	if _, ok := h["Vary"]; ok {
		h.Add("Vary", varyByEncoding[0])
		return
	}
	h["Vary"] = varyByEncoding
}

func plainError(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
