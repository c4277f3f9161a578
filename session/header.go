package session

import "net/http"

// headerFields are what a header held at some time. One of them, such as the request id, costs no allocation.
type headerFields struct {
	n    int
	few  [1]headerField
	many http.Header // if there are more
}

type headerField struct {
	name   string
	values []string
}

// note takes note of a header.
func (f *headerFields) note(h http.Header) {
	if len(h) > len(f.few) {
		f.many = h.Clone()
		return
	}
	for name, values := range h {
		f.few[f.n] = headerField{name, values[:len(values):len(values)]} // what is appended goes elsewhere
		f.n++
	}
}

// restore has a header hold what it held, and nothing else.
func (f *headerFields) restore(h http.Header) {
	clear(h)
	for name, values := range f.many {
		h[name] = values
	}
	for _, x := range f.few[:f.n] {
		h[x.name] = x.values
	}
}
