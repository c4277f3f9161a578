package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// way is one way of a request from a client to the same application.
type way struct {
	name   string
	addr   string     // where clients connect
	edge   []*process // between them and the application's process
	origin []*process // the application's
	ready  string     // what /readyz at addr says when it is; "" = it is not asked
}

// Names of ways. Those of proxies may end in secure: then both ends of the hop show certificates, as the
// farm's nodes do.
const (
	wayDirect   = "direct"   // net/http and the application
	wayAlone    = "alone"    // a node that serves by itself
	wayFront    = "front"    // a front forwards to a node
	wayDraining = "draining" // a node that drains forwards to another one
	wayHTTPUtil = "httputil" // net/http and httputil.ReverseProxy
	secure      = "+tls"
)

var allWays = []string{wayFront, wayDirect, wayAlone, wayDraining, wayHTTPUtil + secure,
	"nginx" + secure, "haproxy" + secure, "caddy" + secure, wayHTTPUtil, "nginx", "haproxy", "caddy"}

// ways are those that run, and what they share.
type ways struct {
	procs  *processes
	self   string // this program, or another build of it
	dir    string
	certs  certs
	secret string
	files  int // that each process may have open
	out    io.Writer
	all    []*way

	plain, tls  string // addresses of the application without a farm; "" = not started
	plainP      *process
	tlsP        *process
	node        string // public address of the node that serves
	nodePeer    string
	nodeP       *process
	started     []*process
	directories int
}

// startWays starts what is asked for, in this order, and returns when all of it answers. What is not
// installed is said, and left out.
func startWays(p *processes, self, dir string, names []string, out io.Writer) (w *ways, err error) {
	w = &ways{procs: p, self: self, dir: dir, out: out, files: allowFiles(mostFiles)}
	secret := make([]byte, 32)
	rand.Read(secret)
	w.secret = hex.EncodeToString(secret)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if w.certs, err = newCerts(dir); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err = w.add(name); err != nil {
			break
		}
	}
	for _, x := range w.all {
		if err == nil {
			err = x.await()
		}
	}
	if err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *ways) add(name string) (err error) {
	kind, tls := strings.CutSuffix(name, secure)
	x := &way{name: name}
	proxy, isProxy := proxyKinds[kind]
	switch {
	case isProxy || kind == wayHTTPUtil:
		if isProxy {
			if _, err := exec.LookPath(proxy.exe); err != nil {
				fmt.Fprintf(w.out, "%s is not installed and left out\n", proxy.exe)
				return nil
			}
		}
		err = w.addProxy(x, kind, tls)
	case name == wayDirect:
		x.addr, err = w.application(false)
		x.origin = []*process{w.plainP}
	case name == wayAlone:
		x.addr, err = w.server()
		x.origin = []*process{w.nodeP}
	case name == wayFront, name == wayDraining:
		err = w.addNode(x)
	default:
		err = fmt.Errorf("-ways: there is no %q", name)
	}
	if err == nil {
		w.all = append(w.all, x)
	}
	return err
}

// run starts a program and keeps it in mind.
func (w *ways) run(exe string, args ...string) (*process, error) {
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "FARM_SECRET="+w.secret,
		"HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir, "XDG_DATA_HOME="+w.dir)
	if w.procs.verbose {
		cmd.Stdout = os.Stderr
	}
	p, err := w.procs.start(cmd)
	if err == nil {
		w.started = append(w.started, p)
	}
	return p, err
}

// application starts the application without a farm, if that has not been done, and returns its address.
func (w *ways) application(tls bool) (addr string, err error) {
	at, p, args := &w.plain, &w.plainP, []string{}
	if tls {
		at, p, args = &w.tls, &w.tlsP, []string{"-certs", string(w.certs)}
	}
	if *at != "" {
		return *at, nil
	}
	if *at, err = freeport.Addr(); err == nil {
		*p, err = w.run(w.self, append([]string{webserverArg, "-as", asPlain, "-listen", *at}, args...)...)
	}
	return *at, err
}

// server starts the node that serves, likewise.
func (w *ways) server() (addr string, err error) {
	if w.node != "" {
		return w.node, nil
	}
	if w.nodePeer, err = freeport.Addr(); err != nil {
		return "", err
	}
	w.node, w.nodeP, err = w.farmNode("server", w.nodePeer)
	return w.node, err
}

func (w *ways) farmNode(name, peer string, args ...string) (addr string, p *process, err error) {
	if addr, err = freeport.Addr(); err != nil {
		return "", nil, err
	}
	p, err = w.run(w.self, append([]string{webserverArg, "-as", asNode, "-name", name,
		"-http", addr, "-peer", peer, "-admin", "none"}, args...)...)
	return addr, p, err
}

// addNode adds a node that does not serve, and forwards to the one that does.
func (w *ways) addNode(x *way) error {
	if _, err := w.server(); err != nil {
		return err
	}
	peer, err := freeport.Addr()
	if err != nil {
		return err
	}
	args := []string{"-join", w.nodePeer}
	if x.name == wayFront {
		args, x.ready = append(args, "-role", "front"), "ok"
	} else {
		args, x.ready = append(args, "-drains"), "draining"
	}
	addr, p, err := w.farmNode(x.name, peer, args...)
	x.addr, x.edge, x.origin = addr, []*process{p}, []*process{w.nodeP}
	return err
}

func (w *ways) addProxy(x *way, kind string, tls bool) error {
	to, err := w.application(tls)
	if err != nil {
		return err
	}
	if x.addr, err = freeport.Addr(); err != nil {
		return err
	}
	x.origin = []*process{w.plainP}
	var c certs
	if tls {
		x.origin, c = []*process{w.tlsP}, w.certs
	}
	exe := w.self
	args := []string{webserverArg, "-as", asProxy, "-listen", x.addr, "-to", to, "-certs", string(c)}
	if k, ok := proxyKinds[kind]; ok {
		exe = k.exe
		w.directories++
		dir := filepath.Join(w.dir, fmt.Sprint(kind, w.directories))
		if args, err = k.configure(dir, x.addr, to, c, w.files); err != nil {
			return err
		}
	}
	p, err := w.run(exe, args...)
	x.edge = []*process{p}
	return err
}

// await returns when the way leads to the application.
func (x *way) await() error {
	look := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(readyPatience); ; time.Sleep(20 * time.Millisecond) {
		err := x.leads(look)
		if err == nil {
			return nil
		}
		for _, p := range slices.Concat(x.edge, x.origin) {
			select {
			case <-p.ended:
				program := filepath.Base(p.cmd.Path)
				return fmt.Errorf("%s: %s has ended (-v shows what it printed): %w", x.name, program, err)
			default:
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not answer: %w", x.name, err)
		}
	}
}

func (x *way) leads(look *http.Client) error {
	if x.ready != "" {
		res, err := look.Get("http://" + x.addr + "/readyz")
		if err != nil {
			return err
		}
		says, err := io.ReadAll(io.LimitReader(res.Body, 200))
		res.Body.Close()
		if err != nil || !strings.Contains(string(says), x.ready) {
			return fmt.Errorf("/readyz says %q: %w", says, err)
		}
	}
	r := &requester{asking: asking{addr: x.addr}}
	defer r.close()
	return r.get()
}

// stop ends all that was started.
func (w *ways) stop() {
	for _, p := range w.started {
		w.procs.kill(p)
	}
}

// cpu is what all processes of a way have used.
func (x *way) cpu() (sum time.Duration) {
	for _, p := range slices.Concat(x.edge, x.origin) {
		for _, pid := range family(p.cmd.Process.Pid) {
			sum += cpuTime(pid)
		}
	}
	return sum
}

// memory is what the processes hold.
func memory(procs []*process) (sum int64) {
	for _, p := range procs {
		for _, pid := range family(p.cmd.Process.Pid) {
			sum += residentBytes(pid)
		}
	}
	return sum
}
