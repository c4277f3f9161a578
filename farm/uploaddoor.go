package farm

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// validatePublishPath complains about a PublishPath that is no path.
func (c Config) validatePublishPath() error {
	p := c.PublishPath
	if p == "" || strings.HasPrefix(p, "/") && len(p) > 1 && !strings.HasSuffix(p, "/") &&
		!strings.ContainsAny(p, "?#%") {
		return nil
	}
	return fmt.Errorf("Config.PublishPath is %q: it is a path such as /publish, and not all of the site", p)
}

// door lets holders of credentials in on the public port, at Config.PublishPath.
func (f *Farm) door(site http.Handler) http.Handler {
	at := f.cfg.PublishPath
	if at == "" {
		return site
	}
	uploads := http.StripPrefix(at, http.HandlerFunc(f.publicUpload))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, at); ok && (rest == "" || rest[0] == '/') {
			uploads.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	})
}

// publicUpload has a request of a publisher's answered by the node that has its upload.
func (f *Farm) publicUpload(w http.ResponseWriter, r *http.Request) {
	if !private(r) {
		writeErrorAs(w, http.StatusForbidden, &order.ReleaseError{Kind: order.KindRefused,
			Text: "publishing goes over HTTPS, so that nobody reads what is not public yet: use an https URL. If a " +
				"proxy in front takes off the TLS, the farm has to trust it: -trusted-proxies"})
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	owner, _, _ := strings.Cut(id, ".")
	node, err := hex.DecodeString(owner)
	if st := f.node.State(); err == nil && id != "" && string(node) != st.Self {
		if m, ok := st.Member(string(node)); ok && m.Status == cluster.Alive {
			f.passUpload(w, r, m.ID)
			return
		}
	}
	f.serveUpload(w, r)
}

// private reports whether nobody between the client and the farm reads along, as far as is known.
func private(r *http.Request) bool {
	if Info(r.Context()).Scheme == "https" || r.TLS != nil {
		return true
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// passUpload has another node answer: a balancer may send each request of an upload to another node.
func (f *Farm) passUpload(w http.ResponseWriter, r *http.Request, node string) {
	to, err := url.Parse(urlOf(node, order.PathPublish))
	if err != nil {
		writeErrorAs(w, http.StatusBadGateway, &order.ReleaseError{Kind: order.KindFailed, Text: err.Error()})
		return
	}
	proxy := &httputil.ReverseProxy{Transport: f.peerHTTP.client.Transport, FlushInterval: -1,
		ErrorLog: errorLog(f.log),
		Rewrite:  func(p *httputil.ProxyRequest) { p.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			kind := order.KindOverloaded
			if r.Method == http.MethodPost { // the order was given, perhaps
				kind = order.KindUncertain
			}
			writeErrorAs(w, http.StatusBadGateway, &order.ReleaseError{Kind: kind,
				Text: fmt.Sprintf("the node that has this upload does not answer (%v): try again", err)})
		}}
	proxy.ServeHTTP(w, r)
}
