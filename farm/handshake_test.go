package farm_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// A client whose TLS handshake ends while the server shuts down, and who speaks HTTP/2 and asks for nothing, does not hold the
// stop (golang/go#81153): it is closed before, or soon.
func TestFarm_HandshakeDuringStop(t *testing.T) {
	t.Parallel()
	certs := httptest.NewUnstartedServer(nil) // for its certificate
	certs.StartTLS()
	defer certs.Close()
	limit := 2 * time.Minute
	s := serve(t, farm.Config{Forward: forward.Config{DrainTimeout: limit}, Server: &http.Server{
		TLSConfig: &tls.Config{Certificates: certs.TLS.Certificates}}}, nil).ready()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	early, err := net.Dial("tcp", s.Addr()) // what came before was accepted when this one has its answer
	if err != nil {
		t.Fatal(err)
	}
	early.Close()
	client := certs.Client()
	if res, err := client.Get("https://" + s.Addr() + "/who"); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	client.CloseIdleConnections()
	began := time.Now()
	s.stop()
	eventually(t, func() bool {
		c, err := net.Dial("tcp", s.Addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	conn.SetDeadline(time.Now().Add(3 * time.Second)) // by now Shutdown runs
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		conn.SetDeadline(time.Now().Add(limit))
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		io.WriteString(secure, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	}
	select {
	case err := <-s.err:
		if err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(began); took > limit-10*time.Second {
			ci.Latef(t, "Serve returned after %v", took)
		}
	case <-time.After(limit + patience):
		ci.Latef(t, "Serve does not return")
	}
}
