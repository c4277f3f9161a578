package publish

import (
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// finish carries out an order of which everything has come.
func (s *Server) finish(w http.ResponseWriter, r *http.Request) {
	u, err := s.uploads.take(r.PathValue("id"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer s.uploads.release(u)
	o := Order{Signed: u.signed, Config: u.config, Manifest: u.content(), Epoch: u.epoch}
	if missing := s.lacks(u); len(missing.Blobs) > 0 || o.Manifest == nil && !o.Root.IsZero() {
		s.refuse(w, r, errorf(order.KindInvalid, "not all has come yet: %d blobs are missing", len(missing.Blobs)))
		return
	}
	if _, err := s.c.Farm.Verify(r.Context(), o.Seal); err != nil { // it may have been revoked since
		s.refuse(w, r, err)
		return
	}
	// A client may be gone as soon as it has read the last line, so that it does not matter whether it still waits. If
	// it has gone before, somebody will ask again how it ended.
	if s.c.Farm.Publish(w, r, o) {
		s.uploads.drop(u.id)
	}
}
