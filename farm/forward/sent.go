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
	url                       url.URL
	header                    http.Header // not what a handler changes in it: a copy costs too much
}

func sentIn(r *http.Request) sent {
	return sent{r.Method, r.Host, r.RequestURI, r.RemoteAddr, r.ContentLength, *r.URL, r.Header}
}

// again returns the request of a pass as it was before this node's handler had it. The server looks at its own,
// which r may be, for whether the answer to its method has a body.
func (p *pass) again(r *http.Request) *http.Request {
	s := &p.sent
	if r.Method != s.method {
		r.Method = s.method
	}
	c, u := r.WithContext(p), s.url
	c.Host, c.RequestURI, c.RemoteAddr, c.ContentLength, c.URL, c.Header = s.host, s.uri, s.remote, s.length, &u, s.header
	return c
}
