package content

import (
	"net/http"
	"strings"
)

// Set serves the release in force, and for whoever is of another one, that. It is made anew at each switch,
// which is then a swap of one pointer; a request is served by the set that it found. Its fields are not
// changed while it serves.
type Set struct {
	Active *Site

	// Others are the releases that are kept or staged besides, the newest first. Documents are never of them,
	// except for a client whose pin is of a newer epoch than this node has in force.
	Others []*Site

	// Pins says which release a client has a page of; nil gives everybody the release in force.
	Pins *Pins

	// Private says that not everybody gets the same documents, as with a canary. No cache that is shared may
	// keep them then.
	Private bool

	// Share is the release that a share of the clients is shown. All have a draw then, which says who belongs to it.
	Share Share
}

// Share is a release that is shown to a share of the clients. The zero Share is none.
type Share struct {
	Release string
	Percent uint64 // of the clients, up to 100

	// Coming says that this node is only just making it ready: who has a page of it is answered by another node.
	Coming bool
}

// For returns which release the client of a request sees: that in force; or that of the Share, if its draw says so;
// or, where it has seen a later state of the farm than this one, that which it has a page of. What a page needs is of
// the page's release. A client that has no draw yet sees the one in force: only one that keeps its cookie can be shown
// the same again.
func (s *Set) For(r *http.Request) (release string) {
	if s.Pins == nil || s.Share.Percent == 0 && !s.mayBehind(r) {
		return s.Active.release.ID
	}
	pin, ok := s.read(r)
	part := isSubresource(r) || pin.Release != "" && isPart(r)
	switch {
	case !ok:
	case s.ahead(pin):
		return pin.Release
	case s.Share.Percent == 0:
	case !part && pin.Draw.Within(s.Share.Percent), part && pin.Release == s.Share.Release:
		return s.Share.Release
	}
	return s.Active.release.ID
}

// ahead reports whether a client has seen a later state of the farm than this one.
func (s *Set) ahead(pin Pin) bool {
	return pin.Epoch > s.Active.release.Epoch || pin.Turn > s.Active.release.Turn
}

// ServeHTTP serves a request for a file: a document from the release in force, to which it pins the client,
// and anything else from the release that the client is pinned to, as long as that is here. What is not in
// that release is looked up in the one in force, and a fingerprinted name in all, so that a page of any of
// them is whole.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r) {
		return
	}
	var pin Pin
	pinned := false
	if s.Pins != nil {
		pin, pinned = s.read(r)
	}
	site := s.site(pin, pinned, isDocument(r))
	e, ok := site.find(r.URL.Path)
	if ok && e != nil && !isSubresource(r) && e.document { // the file says it where the client does not
		if site = s.site(pin, pinned, true); site != nil {
			e, ok = site.find(r.URL.Path)
		}
	}
	if !ok {
		site, e, ok = s.elsewhere(site, r.URL.Path)
	}
	if ok && e != nil && e.document && !isSubresource(r) {
		s.prepareDocument(w, site, pin, pinned)
	}
	site.serve(w, r, e, ok)
}

// Repin is for a page that the program writes itself: a client that is pinned to another release gets what that page
// needs from the release in force, like the page. One that is not pinned stays so; unless there is a Share, for which
// each client gets a draw. It is called before the page is written.
func (s *Set) Repin(w http.ResponseWriter, r *http.Request) {
	if s.Pins == nil || !navigates(r) {
		return
	}
	pin, pinned := s.read(r)
	ahead, shares := pinned && s.ahead(pin), s.Share.Percent > 0
	if shares || ahead {
		keepPrivate(w.Header())
	}
	switch to := s.Active.release; {
	case ahead: // it is told no more than it knows
	case shares:
		s.Pins.refresh(w, to, s.Pins.draw(pin), pin, pinned)
	case pinned && pin.Release != to.ID:
		s.Pins.refresh(w, to, 0, pin, true)
	}
}

// Behind reports whether the client of a request has seen a release which this node has neither in force nor
// staged, but some node had later than what is in force here, or has for the Share: another node has to serve it.
func (s *Set) Behind(r *http.Request) bool {
	if !s.mayBehind(r) {
		return false
	}
	pin, ok := s.read(r)
	return ok && (s.ahead(pin) && s.site(pin, true, true).release.ID != pin.Release || s.coming(pin))
}

// Overtaken reports whether the client of a request has seen a later state of the farm than this node has, or what this
// node is only just making ready for its share of the clients, and of which release. It costs little where a request
// claims nothing of that kind.
func (s *Set) Overtaken(r *http.Request) (by string, so bool) {
	if !s.mayBehind(r) {
		return "", false
	}
	pin, ok := s.read(r)
	return pin.Release, ok && (s.ahead(pin) || s.coming(pin))
}

// mayBehind reports whether a request has what may be a pin that this node is behind.
func (s *Set) mayBehind(r *http.Request) bool {
	return s.Pins != nil && (s.Share.Coming || s.Pins.claims(r, func(epoch, turn uint64) bool {
		return s.ahead(Pin{Epoch: epoch, Turn: turn})
	}))
}

// coming reports whether a pin is of the Share, which is not ready here.
func (s *Set) coming(pin Pin) bool { return s.Share.Coming && pin.Release == s.Share.Release }

// site returns the release that a request is about.
func (s *Set) site(pin Pin, pinned, document bool) *Site {
	if !pinned || pin.Release == s.Active.release.ID || document && !s.ahead(pin) {
		return s.Active
	}
	for _, o := range s.Others {
		if o.release.ID == pin.Release {
			return o
		}
	}
	return s.Active
}

// elsewhere looks for what is not in the release that it should be in: in the one in force, and a
// fingerprinted name in all.
func (s *Set) elsewhere(site *Site, path string) (*Site, *entry, bool) {
	if e, ok := s.Active.find(path); ok {
		return s.Active, e, true
	}
	for _, o := range s.Others {
		if e, ok := o.find(path); ok && e != nil && e.file.Immutable {
			return o, e, true
		}
	}
	return site, nil, false
}

var private = []string{"private, no-cache"}

// keepPrivate has no shared cache store a response, if nobody has said yet which may.
func keepPrivate(h http.Header) {
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = private
	}
}

func (s *Set) prepareDocument(w http.ResponseWriter, site *Site, pin Pin, pinned bool) {
	if s.Private || pinned && s.ahead(pin) {
		w.Header()["Cache-Control"] = private
	}
	if s.Pins == nil {
		return
	}
	to, draw := site.release, Draw(0)
	to.Turn = s.Active.release.Turn
	if pinned && pin.Release == to.ID && s.ahead(pin) { // it is in force elsewhere, and staged here
		to.Epoch, to.Turn = max(to.Epoch, pin.Epoch), max(to.Turn, pin.Turn)
	}
	switch {
	case s.Share.Percent > 0:
		draw = s.Pins.draw(pin)
	case pinned && s.ahead(pin):
		draw = pin.Draw
	}
	s.Pins.refresh(w, to, draw, pin, pinned)
}

// isDocument reports whether a browser says that it goes to a page.
func isDocument(r *http.Request) bool {
	switch first(r.Header["Sec-Fetch-Dest"]) {
	case "document", "iframe", "frame":
		return true
	}
	return first(r.Header["Sec-Fetch-Mode"]) == "navigate"
}

// navigates reports whether a client goes to a page, as far as it says so: browsers say where they go over TLS alone. A
// form that is sent leads to a page like a link.
func navigates(r *http.Request) bool {
	plain := len(r.Header["Sec-Fetch-Dest"]) == 0
	return isDocument(r) || plain && strings.Contains(first(r.Header["Accept"]), "text/html")
}

// isSubresource reports whether a browser says that it does not go to a page.
func isSubresource(r *http.Request) bool {
	return len(r.Header["Sec-Fetch-Dest"]) > 0 && !isDocument(r)
}

// isPart reports whether a client that does not say where it goes seems to want what a page needs: no page will do.
func isPart(r *http.Request) bool {
	accept := first(r.Header["Accept"])
	return len(r.Header["Sec-Fetch-Dest"]) == 0 && !isDocument(r) && accept != "" && !strings.Contains(accept, "text/html")
}

func first(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}
