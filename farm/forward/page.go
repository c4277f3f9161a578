package forward

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// problem is the JSON form of a page (RFC 9457).
type problem struct {
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
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
<p>{{.Detail}}</p>
{{with .Request}}<p><small>Request {{.}}</small></p>{{end}}
</main>
</html>
`))

// servePage answers with a page in the form that the client asked for: HTML, JSON or plain text. retryAfter is in
// seconds; 0 = no word about it.
func servePage(w http.ResponseWriter, r *http.Request, status int, detail string, retryAfter int) {
	p := problem{
		Title:   http.StatusText(status),
		Status:  status,
		Detail:  detail,
		Request: FromContext(r.Context()).ID,
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	kind := pageKind(r.Header["Accept"])
	h.Set("Content-Type", kind)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	switch kind { // nobody is left to tell when writing fails
	case kindHTML:
		pageTemplate.Execute(w, p)
	case kindJSON:
		json.NewEncoder(w).Encode(p)
	default:
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
