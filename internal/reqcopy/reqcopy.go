// Package reqcopy is for middlewares that give a handler a copy of the request, because it needs a context of its own: as
// long as the handler works on a copy, the server and the middlewares outside know nothing of what it does to it. Whoever
// copies a request calls Share before and Return after, whatever the handler does:
//
//	reqcopy.Share(r)
//	c := r.WithContext(ctx)
//	defer reqcopy.Return(r, c)
//	next.ServeHTTP(w, c)
//
// A middleware that needs nothing but a value in the context need not copy: see Add.
package reqcopy

import "net/http"

// Share makes room for what the server adds to r while its body is read. Trailers that the client did not announce go into
// a map that the server makes when they come, in its own request and not in the copies; so there must be one before.
func Share(r *http.Request) {
	if r.Trailer == nil && r.ContentLength < 0 {
		r.Trailer = http.Header{}
	}
}

// Return hands to r what the handler left in a copy of it and what is needed outside: the parsed multipart form, whose
// files the server removes at the end, and the pattern that a http.ServeMux has matched, for logs.
func Return(r, copied *http.Request) {
	if r.MultipartForm == nil {
		r.MultipartForm = copied.MultipartForm
	}
	if r.Pattern == "" {
		r.Pattern = copied.Pattern
	}
}
