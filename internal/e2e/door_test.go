package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// frontDoor is what visitors know of a site: an address. Behind it is a proxy, or a name in the DNS.
type frontDoor struct {
	addr  string
	tls   *tls.Config // nil = plain HTTP
	plain string      // of a proxy, where it listens without TLS
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (d *frontDoor) url() *url.URL {
	if d.tls == nil {
		return &url.URL{Scheme: "http", Host: d.addr}
	}
	return &url.URL{Scheme: "https", Host: d.addr}
}

// node is the door, as a browser takes it: for a node like others.
func (d *frontDoor) node(f *farm) *node {
	n := &node{farm: f, name: "the site", tls: d.tls != nil}
	n.http.Store(&d.addr)
	return n
}

// client is one that knows the door.
func (d *frontDoor) client() *http.Client {
	t := &http.Transport{TLSClientConfig: d.tls, DialContext: d.dial}
	return &http.Client{Timeout: lookTime, Transport: t}
}

// proxies are those that there are recipes for: the file, what stands in it for what differs here, and how
// they are run.
var proxies = map[string]struct {
	recipe  string
	plain   string            // as the recipe says it: where it listens in the clear
	site    string            // and with TLS
	certs   map[string]string // in the recipe, and the file here
	command func(dir, recipe string) (args []string, err error)
}{
	"haproxy": {"haproxy.cfg", "bind :80\n", "bind :443 ",
		map[string]string{"/etc/haproxy/site.pem": "both.pem"}, haproxyCommand},
	"nginx": {"nginx.conf", "listen 80;", "listen 443 ",
		map[string]string{"/etc/nginx/site.crt": "cert.pem", "/etc/nginx/site.key": "key.pem"}, nginxCommand},
}

func haproxyCommand(_, recipe string) ([]string, error) { return []string{"-db", "-f", recipe}, nil }

// nginxCommand has the recipe included as the distributions do. One process is enough, and ends with the
// test.
func nginxCommand(dir, recipe string) ([]string, error) {
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	main := filepath.Join(dir, "main.conf")
	text := fmt.Sprintf("daemon off; master_process off; pid %s; error_log stderr warn;\n"+
		"events { worker_connections 8192; }\n"+ // a visitor takes two
		"http {\naccess_log off;\n%sinclude %s;\n}\n", filepath.Join(dir, "nginx.pid"), temp, recipe)
	return []string{"-p", dir, "-e", "stderr", "-c", main}, os.WriteFile(main, []byte(text), 0o600)
}

// recipe returns the text of a file of docs/recipes, with what differs here in place of what stands there.
// Everything has to stand there once.
func recipe(t *testing.T, name string, changes map[string]string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "recipes", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for from, to := range changes {
		if n := strings.Count(text, from); n != 1 {
			t.Fatalf("%s has %q %d times", name, from, n)
		}
		text = strings.Replace(text, from, to, 1)
	}
	return text
}

// behind starts a proxy, by its recipe, in front of three servers.
func behind(t *testing.T, name string, servers []string) *frontDoor {
	t.Helper()
	exe, err := exec.LookPath(name)
	if err != nil {
		ci.Missingf(t, "%s", name)
	}
	p, dir := proxies[name], t.TempDir()
	door := &frontDoor{addr: freeAddr(t), plain: freeAddr(t), tls: certify(t, dir)}
	changes := map[string]string{p.plain: "bind " + door.plain + "\n", p.site: "bind " + door.addr + " "}
	if name == "nginx" {
		changes = map[string]string{p.plain: "listen " + door.plain + ";", p.site: "listen " + door.addr + " "}
	}
	for i, addr := range servers {
		changes[fmt.Sprintf("10.0.0.%d:8080", i+1)] = addr
	}
	for there, here := range p.certs {
		changes[there] = filepath.Join(dir, here)
	}
	file := filepath.Join(dir, p.recipe)
	if err := os.WriteFile(file, []byte(recipe(t, p.recipe, changes)), 0o600); err != nil {
		t.Fatal(err)
	}
	args, err := p.command(dir, file)
	if err != nil {
		t.Fatal(err)
	}
	proc, err := startProcess(t, name, nil, exec.Command(exe, args...))
	if err != nil {
		t.Fatal(err)
	}
	client, tick := door.client(), time.NewTicker(pollTime)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		res, err := client.Get(door.url().String() + "/readyz")
		if err == nil {
			res.Body.Close()
		}
		switch {
		case err == nil && res.StatusCode == http.StatusOK:
			return door
		case !proc.running():
			t.Fatalf("%s has ended: %v", name, proc.err)
		case time.Now().After(end):
			ci.Latef(t, "%s leads nowhere: %v", name, err)
		}
	}
}

// certify writes a certificate for 127.0.0.1 and returns what a client needs to believe it.
func certify(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	files := map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM, "both.pem": append(certPEM, keyPEM...)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return &tls.Config{RootCAs: pool}
}
