package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
)

// webserverArg, as the first argument, makes this program a web server: the one that answers, one that
// forwards by package httputil, or a node of a farm. The end of its standard input is its end.
const webserverArg = "benchmark-webserver"

// webserver is what one of them is to be.
type webserver struct {
	as     string // see below
	listen string
	to     string // for asProxy
	root   string // for those that serve files
	certs  certs  // of asProxy and asPlain; none = no TLS
	drains bool   // for asNode: it forwards because it drains, and goes on like that
}

const (
	asPlain = "plain" // net/http and the handler
	asProxy = "proxy" // net/http and httputil.ReverseProxy
	asNode  = "node"  // of a farm, with the same handler

	asContent    = "content"    // net/http and package content, for the site folder root
	asFileServer = "fileserver" // net/http and http.FileServer, for the folder public of root
	asZipping    = "zipping"    // the same, where each answer is compressed by compress/gzip
)

func runWebserver(args []string) error {
	var s webserver
	fs := flag.NewFlagSet(webserverArg, flag.ExitOnError)
	cfg := farm.Flags(fs)
	fs.StringVar(&s.as, "as", "", "what to be")
	fs.StringVar(&s.listen, "listen", "", "address")
	fs.StringVar(&s.to, "to", "", "address to forward to")
	fs.StringVar(&s.root, "root", "", "site folder")
	fs.StringVar((*string)(&s.certs), "certs", "", "directory of certificates")
	fs.BoolVar(&s.drains, "drains", false, "drain, and do not stop")
	fs.Parse(args)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	switch s.as {
	case asPlain:
		return s.serve(ctx, application())
	case asProxy:
		h, err := s.proxy()
		if err != nil {
			return err
		}
		s.certs = "" // they are for the way on
		return s.serve(ctx, h)
	case asNode:
		return s.node(ctx, *cfg)
	}
	h, err := s.files()
	if err != nil {
		return err
	}
	return s.serve(ctx, h)
}

// application is what every request reaches in the end.
func application() http.Handler {
	page := make([]byte, answerSize)
	for i := range page {
		page[i] = 'x'
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /1k", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, "data: hello\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return mux
}

func (s webserver) serve(ctx context.Context, h http.Handler) (err error) {
	srv := &http.Server{Addr: s.listen, Handler: h, ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if s.certs == "" {
		return srv.ListenAndServe()
	}
	if srv.TLSConfig, err = s.certs.config(); err != nil {
		return err
	}
	return srv.ListenAndServeTLS("", "")
}

// proxy forwards as a program would that has thought about it: it keeps as many connections as there are
// clients.
func (s webserver) proxy() (http.Handler, error) {
	to := &url.URL{Scheme: "http", Host: s.to}
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true}
	if s.certs != "" {
		to.Scheme = "https"
		c, err := s.certs.config()
		if err != nil {
			return nil, err
		}
		c.MinVersion = tls.VersionTLS13
		transport.TLSClientConfig = c
	}
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}, nil
}

func (s webserver) node(ctx context.Context, cfg farm.Config) error {
	cfg.App = "bench"
	cfg.MaxConnsPerClient = -1 // all clients come from one address
	if s.drains {
		cfg.Forward.Linger, cfg.Forward.DrainTimeout = 24*time.Hour, 48*time.Hour
	}
	f, err := farm.Open(cfg)
	if err != nil {
		return err
	}
	if s.drains {
		go func() {
			if f.Ready(ctx) == nil {
				f.Drain(ctx)
			}
		}()
	}
	return errors.Join(f.Serve(ctx, application()), f.Close())
}
