package farm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/dev"
	"github.com/seed48eb2e21/webfarm/farm/internal/unlisten"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// development is what Config.Dev has led to.
type development struct {
	leash <-chan struct{} // closed when this process is to stop, since who started it is no more; nil = nobody is looked at
	alone bool            // a farm of one, which introduces itself when it is ready
	kept  bool            // the directory was not asked for
	out   io.Writer       // where it introduces itself
	paint dev.Paint
}

// develop returns what Open goes on with where Config.Dev is set: a farm of one, or, in a process that a launcher has started, a
// node of a farm of several. In a process that is to be the launcher it does not return unless the farm cannot be started: it
// looks after the others until a signal says that it is enough, and ends the process.
func (c Config) develop() (Config, error) {
	if err := c.validateDev(); err != nil {
		return c, fault.Config(err)
	}
	c.plainCookies()
	if c.Nodes <= 1 {
		return c.alone()
	}
	node, started, err := dev.Child()
	if err != nil {
		return c, err
	}
	if started {
		c.Name, c.HTTP, c.Peer, c.Dir = node.Name, node.HTTP, node.Peer, node.Dir
		if err := c.validateAddrs(); err != nil {
			return c, fault.Config(err)
		}
		c.Join, c.Supervised = node.Join, true // by the launcher
		c.dev = development{leash: dev.Leash()}
		return c, nil
	}
	if err := c.launch(); err != nil {
		return c, err
	}
	os.Exit(0)
	return c, nil
}

// alone makes c a farm of one.
func (c Config) alone() (Config, error) {
	c.Cluster.Expect = 1
	if p := dev.Program(); c.Name == "" && len(p) < 64 {
		c.Name = p
	}
	c.dev = development{alone: true, leash: dev.GoRun(), out: os.Stderr, paint: dev.PaintFor(os.Stderr)}
	var err error
	if c.Dir == "" {
		c.dev.kept = true
		c.Dir, err = dev.Dir(1)
	}
	return c, fault.Config(err)
}

// launch is the life of a process that starts the nodes.
func (c Config) launch() (err error) {
	if c.Dir == "" {
		if c.Dir, err = dev.Dir(c.Nodes); err != nil {
			return fault.Config(err)
		}
	}
	// The application's own signals lead to nothing while it is here. A second one kills, where the application has let go of them.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-dev.GoRun():
			cancel()
		case <-ctx.Done():
		}
	}()
	d := c.withDefaults()
	ready := d.Forward.ReadyPath
	if ready == "" {
		ready = "/readyz"
	}
	return dev.Launch(ctx, dev.Config{Nodes: c.Nodes, Dir: c.Dir, HTTP: c.HTTP, TLS: c.https(), ReadyPath: ready,
		Farm: d.Farm, Secrets: c.Secrets})
}

func (c Config) https() bool { return c.Server != nil && c.Server.TLSConfig != nil }

// validateDev says what does not go together with Dev.
func (c Config) validateDev() error {
	switch {
	case c.problem != nil:
		return c.problem
	case !c.Dev:
		return fmt.Errorf("-nodes %d is for -dev: start the processes of any other farm yourself", c.Nodes)
	case c.Nodes < 0 || c.Nodes > dev.MaxNodes:
		return fmt.Errorf("-nodes %d: 1 to %d can be started", c.Nodes, dev.MaxNodes)
	case c.Role != "" || c.Cluster.Expect > 1 || len(c.Join) > 0 || c.LeaveOnStop:
		return errors.New("-dev is a farm of its own on this machine: it has no use for -join, -expect, -role and -leave, " +
			"nor for their like in the environment")
	case c.Nodes > 1 && c.Name+c.Peer+c.Advertise != "" || c.Nodes > 1 && c.Admin != "" && c.Admin != None:
		return errors.New("-dev -nodes sets its nodes up itself: it has no use for -name, -peer, -advertise and -admin, " +
			"nor for their like in the environment")
	case c.Nodes > 1 && (c.HTTP == None || c.Listener != nil):
		return errors.New("-dev -nodes gives each process a public port of its own, which a program with its own server or Listener does not take")
	}
	return c.validateAddrs()
}

// validateAddrs says which address could be reached from other machines.
func (c Config) validateAddrs() error {
	for name, addr := range map[string]string{"-http": c.HTTP, "-peer": c.Peer, "-advertise": c.Advertise, "-admin": c.Admin} {
		if addr != "" && addr != None && !onLoopback(addr) {
			return fmt.Errorf("-dev is for this machine alone, and %s %s can be reached from others: use a loopback address, such as 127.0.0.1:8080",
				name, addr)
		}
	}
	if c.Listener != nil && c.Listener.Addr().Network() == "tcp" && !onLoopback(c.Listener.Addr().String()) {
		return fmt.Errorf("-dev is for this machine alone, and Config.Listener at %s can be reached from others", c.Listener.Addr())
	}
	return nil
}

// onLoopback reports whether addr can be reached from this machine only.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// plainCookies makes the session cookie one that browsers take over plain HTTP.
func (c *Config) plainCookies() {
	if c.https() {
		return
	}
	k := &c.Session.Cookie
	k.Insecure = true
	for _, prefix := range []string{"__Host-", "__Secure-", "__Http-"} {
		if len(k.Name) > len(prefix) && strings.EqualFold(k.Name[:len(prefix)], prefix) {
			k.Name = k.Name[len(prefix):]
		}
	}
	if k.SameSite == http.SameSiteNoneMode {
		k.SameSite = http.SameSiteLaxMode
	}
}

// nearbyPorts is how many ports -dev tries.
const nearbyPorts = 20

// listenNear listens on addr, or on the next port that is free.
func listenNear(addr string) (net.Listener, error) {
	host, p, err := net.SplitHostPort(addr)
	port, perr := strconv.Atoi(p)
	l, first := listen(addr, nil)
	if err != nil || perr != nil || port == 0 {
		return l, first
	}
	for i := 1; first != nil && i < nearbyPorts; i++ {
		if l, err := unlisten.Listen(net.JoinHostPort(host, strconv.Itoa(port+i))); err == nil {
			return l, nil
		}
	}
	return l, first
}

// introduce tells who has started a farm of one where it is.
func (f *Farm) introduce() {
	if !f.cfg.dev.alone {
		return
	}
	a := dev.Alone{Dir: f.cfg.Dir, Kept: f.cfg.dev.kept, Peer: f.node.Addr(), Took: time.Since(f.opened)}
	if f.public != nil {
		a.URL = "http://" + f.Addr()
		if f.cfg.https() {
			a.URL = "https://" + f.Addr()
		}
		_, wanted, _ := net.SplitHostPort(f.cfg.HTTP)
		if _, got, _ := net.SplitHostPort(f.Addr()); f.cfg.Listener == nil && wanted != got && wanted != "0" {
			a.Else = "port " + wanted
		}
	}
	a.Introduce(f.cfg.dev.out, f.cfg.dev.paint)
}
