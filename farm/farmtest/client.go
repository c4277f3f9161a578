package farmtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
	"time"
)

// requestTimeout ends requests of a test that would otherwise hang.
const requestTimeout = 2 * time.Minute

// Client returns a new client that reaches this node and no other, whatever host a URL names. It keeps no cookies; give
// it a Jar if it should.
func (n *Node) Client() *http.Client {
	return n.farm.client(func(ctx context.Context, _, _ string) (net.Conn, error) { return n.dial(ctx) })
}

// Get returns what the node answers to a request for a path, such as "/cart?sku=tea", to a client without cookies. No
// answer at all fails the test.
func (n *Node) Get(path string) (status int, body string) {
	n.farm.t.Helper()
	res, err := n.Client().Get(n.URL() + path)
	if err == nil {
		defer res.Body.Close()
		var b []byte
		if b, err = io.ReadAll(res.Body); err == nil {
			return res.StatusCode, string(b)
		}
	}
	n.farm.t.Fatalf("farmtest: %s: GET %s: %v", n.name, path, err)
	return 0, ""
}

// Browser returns a new client that carries its cookies to whichever node a URL names: what a visitor's browser does when
// all nodes have one name in DNS.
func (f *Farm) Browser() *http.Client {
	c := f.client(f.dial)
	c.Jar = newJar()
	return c
}

func (f *Farm) client(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	t := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
	f.clients.add(t)
	return &http.Client{Transport: t, Timeout: requestTimeout}
}

// dial connects to the node whose public address is addr.
func (f *Farm) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	for _, n := range f.Nodes {
		if addr == n.address()+publicPort {
			return n.dial(ctx)
		}
	}
	return nil, fmt.Errorf("farmtest: no node has the address %s", addr)
}

// dial connects to the node's public listener, from next door.
func (n *Node) dial(ctx context.Context) (net.Conn, error) {
	return n.farm.network.Host(n.visitor).Dial(ctx, n.address()+publicPort)
}

// transports are those of all clients.
type transports struct {
	mu  sync.Mutex
	all []*http.Transport
}

func (t *transports) add(one *http.Transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, one)
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.all {
		one.CloseIdleConnections()
	}
}

// jar is a cookie jar for which all nodes are one site.
type jar struct{ inner *cookiejar.Jar }

func newJar() jar {
	inner, _ := cookiejar.New(nil) // without options there is nothing to fail
	return jar{inner}
}

func site(u *url.URL) *url.URL { return &url.URL{Scheme: u.Scheme, Host: "farm.test", Path: u.Path} }

func (j jar) SetCookies(u *url.URL, cookies []*http.Cookie) { j.inner.SetCookies(site(u), cookies) }
func (j jar) Cookies(u *url.URL) []*http.Cookie             { return j.inner.Cookies(site(u)) }
