package farm_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// inTCPMode starts a HAProxy that passes on bytes, and says by the PROXY protocol whose they are: in version
// 1 at one address, in version 2 at the other. It looks after the server in the same way.
func inTCPMode(t *testing.T, server string) (v1, v2 string) {
	t.Helper()
	exe, err := exec.LookPath("haproxy")
	if err != nil {
		ci.Missingf(t, "haproxy")
	}
	for _, addr := range []*string{&v1, &v2} {
		if *addr, err = freeport.Addr(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf("defaults\n mode tcp\n timeout connect 2s\n timeout client 1m\n timeout server 1m\n"+
		"listen one\n bind %s\n server n1 %s send-proxy check inter 100ms check-send-proxy\n"+
		"listen two\n bind %s\n server n1 %s send-proxy-v2 check inter 100ms check-send-proxy\n", v1, server, v2, server)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, exe, "-db", "-f", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		cmd.Wait()
	})
	return v1, v2
}

// Behind a real HAProxy that passes on bytes, a handler sees the client by whom the proxy was asked, and its
// health checks, which are the proxy's own, do no harm.
func TestServe_BehindHAProxyInTCPMode(t *testing.T) {
	t.Parallel()
	f := serve(t, farm.Config{Name: "a", ProxyProtocol: true, MaxConnsPerClient: -1,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })).ready()
	v1, v2 := inTCPMode(t, f.Addr())
	for _, addr := range []string{v1, v2} {
		var local string
		transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, to)
			if err == nil {
				local = c.LocalAddr().String()
			}
			return c, err
		}}
		client := &http.Client{Transport: transport, Timeout: patience}
		eventually(t, func() bool {
			res, err := client.Get("http://" + addr)
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
		res, err := client.Get("http://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, _ := res.Body.Read(b)
		res.Body.Close()
		if got := string(b[:n]); got != local {
			t.Errorf("the handler sees %q, and the client is %q", got, local)
		}
		transport.CloseIdleConnections()
	}
}
