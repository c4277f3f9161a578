package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// attacker is somebody who reaches the peer port of a node and does not know the farm's secret.
type attacker struct {
	t    *testing.T
	addr string
	farm string // the name of the farm, which is no secret
}

// many runs an attack n times, some at a time, and fails the test if it was not refused.
func (a *attacker) many(n int, attack func(net.Conn) error) {
	a.t.Helper()
	var wg sync.WaitGroup
	turns := make(chan struct{}, 16)
	for range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := a.once(attack); err != nil {
				a.t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (a *attacker) once(attack func(net.Conn) error) error {
	c, err := net.DialTimeout("tcp", a.addr, patience)
	if err != nil {
		return nil // the port is too busy, which is the node's right
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	return attack(c)
}

// ended waits until the node closes the connection.
func ended(c net.Conn) error {
	if n, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
		return fmt.Errorf("the connection was kept; %d bytes came", n)
	}
	return nil
}

// garbage says what is no TLS.
func (a *attacker) garbage(c net.Conn) error {
	b := make([]byte, 4<<10)
	rand.Read(b)
	c.Write(b) // the node may have closed by then
	return ended(c)
}

// request takes the port for a web server.
func (a *attacker) request(c net.Conn) error {
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: farm\r\n\r\n")
	return ended(c)
}

// half sends a part of a TLS handshake and ends.
func (a *attacker) half(c net.Conn) error {
	hello := clientHello()
	c.Write(hello[:len(hello)/2])
	c.(*net.TCPConn).CloseWrite() // the node may have closed by then
	return ended(c)
}

// clientHello returns what a TLS client says first.
func clientHello() []byte {
	here, there := net.Pipe()
	defer here.Close()
	go tls.Client(there, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"webfarm-rpc/1"}}).Handshake()
	var b bytes.Buffer
	head := make([]byte, 5)
	io.ReadFull(here, head)
	b.Write(head)
	io.CopyN(&b, here, int64(head[3])<<8|int64(head[4]))
	return b.Bytes()
}

// handshake does a whole TLS handshake, with a certificate or none, and must not be accepted: a node of the farm would
// get a byte that says so.
func (a *attacker) handshake(proto string, certs ...tls.Certificate) func(net.Conn) error {
	return func(raw net.Conn) error {
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: certs})
		if err := c.Handshake(); err != nil {
			return timeoutOnly(err)
		}
		n, err := c.Read(make([]byte, 1))
		if n > 0 {
			return fmt.Errorf("%s: a connection without the secret was accepted", proto)
		}
		return timeoutOnly(err)
	}
}

func timeoutOnly(err error) error {
	if os.IsTimeout(err) {
		return err
	}
	return nil
}

// certificate returns one that names a node of a farm, by an authority that the attacker made up.
func (a *attacker) certificate(farm string) tls.Certificate {
	a.t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	name, urlErr := url.Parse("webfarm://peer/" + url.PathEscape(farm) + "/node/0123456789abcdef")
	if err := errors.Join(err, urlErr); err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "webfarm node"},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{name},

		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(nil, c, c, public, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// crawl opens n connections that say a byte a second of a handshake that never ends, and returns when all have been ended by
// the node.
func (a *attacker) crawl(n int) {
	a.t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			err := a.once(func(c net.Conn) error {
				ctx, end := a.t.Context(), make(chan struct{})
				go func() { // ends with the connection
					defer close(end)
					for _, b := range clientHello() {
						if _, err := c.Write([]byte{b}); err != nil {
							return
						}
						sleep.For(ctx, time.Second)
					}
				}()
				defer func() {
					c.Close()
					<-end
				}()
				return ended(c)
			})
			if err != nil {
				a.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// packets sends n packets, each made by next.
func (a *attacker) packets(n int, next func() []byte) {
	a.t.Helper()
	c, err := net.Dial("udp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		c.Write(next()) // packets may be lost
		if i%100 == 99 {
			sleep.For(a.t.Context(), time.Millisecond)
		}
	}
}
