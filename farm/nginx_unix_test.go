//go:build unix

package farm_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// keeping starts an nginx that keeps connections to a server, and asks the other one where that fails. It returns its
// address and its process.
func keeping(t *testing.T, server, other string) (addr string, p *os.Process) {
	t.Helper()
	exe, err := exec.LookPath("nginx")
	if err != nil {
		ci.Missingf(t, "nginx")
	}
	if addr, err = freeport.Addr(); err != nil {
		t.Fatal(err)
	}
	dir, temp := t.TempDir(), ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	file := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off; master_process off; pid %s; error_log stderr crit;\nevents {}\n"+
		"http {\n%saccess_log off;\nupstream farm { server %s; server %s backup; keepalive 8; }\n"+
		"server { listen %s; location / { proxy_pass http://farm; proxy_http_version 1.1; "+
		"proxy_set_header Connection \"\"; } }\n}\n",
		filepath.Join(dir, "nginx.pid"), temp, server, other, addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, exe, "-p", dir, "-e", "stderr", "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		cmd.Wait()
	})
	return addr, cmd.Process
}

// A node stops while nginx, which keeps a connection to it, is busy: nginx reads a POST first, and the end of that
// connection afterwards. The POST is answered by the other server.
func TestServe_BusyNginx(t *testing.T) {
	t.Parallel()
	at := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, name)
		})
	}
	cfg := farm.Config{Name: "a", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	f := serve(t, cfg, at("node")).ready()
	other := httptest.NewServer(at("other"))
	defer other.Close()
	addr, nginx := keeping(t, f.Addr(), other.Listener.Addr().String())

	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp", addr)
		return err == nil
	})
	defer conn.Close()
	in := bufio.NewReader(conn)
	answer := func() string {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		return fmt.Sprint(res.StatusCode, " ", string(body), " ", err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := answer(); got != "200 node <nil>" {
		t.Fatal(got)
	}
	nginx.Signal(syscall.SIGSTOP)
	defer nginx.Signal(syscall.SIGCONT)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
	f.stop()
	select {
	case err := <-f.err:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the node does not stop")
	}
	nginx.Signal(syscall.SIGCONT)
	if got := answer(); got != "200 other <nil>" {
		t.Error(got)
	}
}
