package forward

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// page is what a page says, and its JSON form (RFC 9457).
type page struct {
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`
	Request string `json:"request,omitempty"`
}

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #f6f6f4; margin: 0; }
main { max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
small { color: #777; }
</style>
<main>
<h1>{{.Title}}</h1>
{{with .Detail}}<p>{{.}}</p>{{end}}
{{with .Request}}<p><small>Request {{.}}</small></p>{{end}}
</main>
</html>
`))

// ServeProblem answers r with p, as a page in the form that the client asked for: HTML, JSON or plain text.
// It takes the place of an answer that a handler had in mind: the header's fields about that are removed. The
// answer must not have begun.
func ServeProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	status := p.status()
	says := page{
		Title:   cmp.Or(http.StatusText(status), "Error "+strconv.Itoa(status)),
		Status:  status,
		Detail:  p.Detail,
		Request: FromContext(r.Context()).ID,
	}
	h := w.Header()
	dropBody(h)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if says.Request != "" {
		h.Set(idHeader, says.Request)
	}
	kind := pageKind(r.Header["Accept"])
	h.Set("Content-Type", kind)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		says.write(w, kind)
	}
}

// aboutBody are the header's fields that describe a body which is not sent, or have it kept in a cache.
var aboutBody = [...]string{
	"Accept-Ranges", "Cdn-Cache-Control", "Content-Digest", "Content-Disposition", "Content-Encoding",
	"Content-Language", "Content-Length", "Content-Location", "Content-Md5", "Content-Range", "Digest", "Etag",
	"Expires", "Last-Modified", "Link", "Location", "Refresh", "Repr-Digest", "Retry-After", "Sourcemap",
	"Surrogate-Control", "Trailer",
}

// dropBody removes from a header what is about a body that is not sent, its trailers included.
func dropBody(h http.Header) {
	for _, announced := range h["Trailer"] {
		for name := range strings.SplitSeq(announced, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) || strings.HasSuffix(name, "-Cdn-Cache-Control") {
			delete(h, name)
		}
	}
	for _, name := range aboutBody {
		h.Del(name)
	}
}

// write writes the page. When that fails, nobody is left to tell.
func (p page) write(w http.ResponseWriter, kind string) {
	switch kind {
	case kindHTML:
		pageTemplate.Execute(w, p)
	case kindJSON:
		json.NewEncoder(w).Encode(p)
	default:
		if p.Detail == "" {
			fmt.Fprintln(w, p.Title)
			return
		}
		fmt.Fprintf(w, "%s: %s\n", p.Title, p.Detail)
	}
}

const (
	kindHTML = "text/html; charset=utf-8"
	kindJSON = "application/problem+json"
	kindText = "text/plain; charset=utf-8"
)

// pageKind picks what the client named first.
func pageKind(accept []string) string {
	for _, v := range listValues(accept) {
		name, _, _ := strings.Cut(v, ";")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "text/html" || name == "application/xhtml+xml":
			return kindHTML
		case name == "application/json" || strings.HasSuffix(name, "+json"):
			return kindJSON
		case name == "text/plain":
			return kindText
		}
	}
	return kindText
}
