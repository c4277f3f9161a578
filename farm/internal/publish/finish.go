package publish

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
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
		s.refuse(w, r, errorf(Wrong, "not all has come yet: %d blobs are missing", len(missing.Blobs)))
		return
	}
	if _, err := s.c.Farm.Verify(r.Context(), o.Seal); err != nil { // it may have been revoked since
		s.refuse(w, r, err)
		return
	}
	l := newLines(w)
	res, err := s.c.Farm.Publish(r.Context(), o, func(nodes []Node) { l.write(Line{Nodes: nodes}) })
	if err != nil {
		e := sayable(err)
		if e.Code == Failed {
			s.c.Logger.Error("a publication failed", "publisher", o.By.ID(), "err", err)
		}
		l.write(Line{Error: e})
	} else {
		if res.Restart == nil {
			res.Restart = []string{}
		}
		l.write(Line{Result: &res})
	}
	if r.Context().Err() == nil { // else somebody will ask again how it ended
		s.uploads.drop(u.id)
	}
}

// lines is an answer of lines of JSON, each sent as soon as it is written.
type lines struct {
	mu  sync.Mutex
	w   http.ResponseWriter
	ctl *http.ResponseController
}

const lineTime = 10 * time.Second // that the publisher may take for a line

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no")
	l := &lines{w: w, ctl: http.NewResponseController(w)}
	l.ctl.Flush()
	return l
}

func (l *lines) write(v Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctl.SetWriteDeadline(time.Now().Add(lineTime))
	defer l.ctl.SetWriteDeadline(time.Time{})
	if json.NewEncoder(l.w).Encode(v) == nil {
		l.ctl.Flush()
	}
}
