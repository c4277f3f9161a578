package forward

import (
	"fmt"
	"net/http"
	"strings"
)

// Health answers the health paths and 404 for the rest: what the admin listener serves.
//
// LivePath is 200 as long as the process runs. ReadyPath is 200 while this node serves clients as it should,
// and 503 with the reason otherwise.
func (g *Gate) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.answerHealth(w, r, true) {
			http.NotFound(w, r)
		}
	})
}

// answerHealth reports whether r asked for a health path; if so, it is answered. What comes behind a colon
// may name nodes, and is for those who may know.
func (g *Gate) answerHealth(w http.ResponseWriter, r *http.Request, inside bool) bool {
	var problem error
	switch r.URL.Path {
	case g.cfg.LivePath:
	case g.cfg.ReadyPath:
		problem = g.Ready()
	default:
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case problem != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		text, more, _ := strings.Cut(problem.Error(), ":")
		if inside && more != "" {
			text += ":" + more
		}
		fmt.Fprintln(w, text)
	default:
		fmt.Fprintln(w, "ok")
	}
	return true
}
