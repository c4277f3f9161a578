package forward

import (
	"net/http"
	"net/url"
)

// sent is of a client's request what a handler may replace in the request that it gets, or change in its URL.
// Another node is given the request as the client has sent it.
type sent struct {
	method, host, uri, remote string
	length                    int64
	url                       *url.URL    // nil = what the server has made of uri
	header                    http.Header // not what a handler changes in it: a copy costs too much
}

// sentIn notes what the client has sent. A copy of a URL is as large as all the rest: where a server alone has had the
// request, its URL can be made again.
func sentIn(r *http.Request, outermost bool) sent {
	s := sent{r.Method, r.Host, r.RequestURI, r.RemoteAddr, r.ContentLength, nil, r.Header}
	if !outermost {
		u := *r.URL
		s.url = &u
	}
	return s
}

// target returns the URL that the client has sent, for somebody to change.
func (s *sent) target() *url.URL {
	if s.url == nil {
		if u, err := url.ParseRequestURI(s.uri); err == nil { // else the server had refused it
			return u
		}
		return &url.URL{Path: s.uri}
	}
	u := *s.url
	return &u
}

// again returns the request of a pass as it was before this node's handler had it. The server looks at its own,
// which r may be, for whether the answer to its method has a body.
func (p *pass) again(r *http.Request) *http.Request {
	s := &p.sent
	if r.Method != s.method {
		r.Method = s.method
	}
	c := r.WithContext(p)
	c.Host, c.RequestURI, c.RemoteAddr, c.ContentLength = s.host, s.uri, s.remote, s.length
	c.URL, c.Header = s.target(), s.header
	return c
}
