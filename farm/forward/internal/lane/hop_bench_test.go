package lane

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mutualTLS returns the two ends of a configuration by which each proves who it is.
func mutualTLS(b *testing.B, protocols ...string) (server, client *tls.Config) {
	b.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"node"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		b.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}
	server = &tls.Config{Certificates: own, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13, NextProtos: protocols}
	client = &tls.Config{Certificates: own, RootCAs: roots, ServerName: "node", MinVersion: tls.VersionTLS13,
		NextProtos: protocols}
	return server, client
}

func listenTLS(b *testing.B, cfg *tls.Config) net.Listener {
	b.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// kilobyte answers what an application does.
func kilobyte(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(answered)
}

var answered = bytes.Repeat([]byte("x"), 1024)

// laneHop returns what sends one request over a lane; or over a stream of the trunk, as one that accepts an event
// stream is.
func laneHop(b *testing.B, accept string) func() error {
	server, client := mutualTLS(b, "lane")
	l := listenTLS(b, server)
	srv := &Server{Logger: slog.New(slog.DiscardHandler),
		Handle: func(w *Writer, _ *http.Request, _ *Facts) { kilobyte(w) }}
	go srv.Serve(l)
	dialer := tls.Dialer{Config: client}
	c := NewClient(Config{Dial: func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", l.Addr().String())
	}})
	b.Cleanup(func() {
		c.Close()
		srv.Close()
	})
	return func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r := typical(ctx)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		return c.Do(&sink{make(http.Header)}, r, &Attempt{Facts: &Facts{ID: "id"}, Upload: NewUpload(r)}).Err
	}
}

// httpHop returns what sends one request as net/http does, by HTTP/1.1 with a pool of connections or by HTTP/2 over one.
func httpHop(b *testing.B, two bool) func() error {
	protocol := "http/1.1"
	if two {
		protocol = "h2"
	}
	server, client := mutualTLS(b, protocol)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { kilobyte(w) }),
		TLSConfig: server, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.ServeTLS(plain, "", "")
	transport := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: two, MaxIdleConnsPerHost: 256,
		DisableCompression: true}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r := typical(ctx)
		r.URL.Scheme, r.URL.Host, r.RequestURI = "https", plain.Addr().String(), ""
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

// The ways in which one node could send a request to another, with TLS on both sides: a browser's request, 1 KiB of answer, so
// many at a time. All of it runs in this process, so the processor time, on Linux, is that of both ends.
func BenchmarkHop(b *testing.B) {
	for _, way := range []struct {
		name string
		open func(*testing.B) func() error
	}{
		{"lanes", func(b *testing.B) func() error { return laneHop(b, "") }},
		{"multiplexed", func(b *testing.B) func() error { return laneHop(b, "text/event-stream") }},
		{"http1", func(b *testing.B) func() error { return httpHop(b, false) }},
		{"http2", func(b *testing.B) func() error { return httpHop(b, true) }},
	} {
		for _, atOnce := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", way.name, atOnce), func(b *testing.B) { runHops(b, way.open(b), atOnce) })
		}
	}
}

func runHops(b *testing.B, hop func() error, atOnce int) {
	each := func(n int) {
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		for range atOnce {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if err := hop(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	each(20 * atOnce)
	b.ReportAllocs()
	b.ResetTimer()
	began := processorTime()
	each(b.N)
	if spent := processorTime() - began; spent > 0 {
		b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
	}
}
