package forward

import (
	"net/http"
	"net/url"
)

// sent is of a client's request what a handler may replace in the request that it gets. Another node is given the
// request as the client has sent it.
type sent struct {
	method, host, uri, remote string
	url                       *url.URL
	header                    http.Header
}

func sentIn(r *http.Request) sent {
	return sent{r.Method, r.Host, r.RequestURI, r.RemoteAddr, r.URL, r.Header}
}

// again returns the request of a pass as it was before this node's handler had it.
func (p *pass) again(r *http.Request) *http.Request {
	c, s := r.WithContext(p), &p.sent
	c.Method, c.Host, c.RequestURI, c.RemoteAddr, c.URL, c.Header = s.method, s.host, s.uri, s.remote, s.url, s.header
	return c
}
