package memnet

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A stock web server and client, with TLS and HTTP/2, run over the network; in a bubble too.
func TestHTTP(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		n := New()
		cert := selfSigned(t)
		srv := &http.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Proto+" ")
				io.Copy(w, r.Body)
			}),
		}
		var running sync.WaitGroup
		l := listen(t, n.Host(ipB), ":443")
		running.Go(func() { srv.ServeTLS(l, "", "") })

		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		transport := &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return n.Host(ipA).Dial(ctx, addr)
			},
			TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "server"},
			ForceAttemptHTTP2: true,
		}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		body := make([]byte, 1<<20)
		for range 3 {
			pr, pw := io.Pipe()
			running.Go(func() { pw.Write(body); pw.Close() })
			resp, err := client.Post("https://"+l.Addr().String()+"/", "", pr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || len(got) != len(body)+len("HTTP/2.0 ") || string(got[:9]) != "HTTP/2.0 " {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		transport.CloseIdleConnections()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
}

// selfSigned makes a certificate for "server", valid in a bubble's year 2000 and today.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"server"},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
