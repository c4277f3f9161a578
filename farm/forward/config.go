package forward

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// Proto and ProtoText are the protocol words under which forwarded requests reach a peer: the argument of
// Peers.Dial and Listener. ProtoText is for programs up to v0.1.
const (
	Proto     = "lane"
	ProtoText = "http"
)

// TagApp, TagGate and TagHop are the gossiped tags by which peers judge one another.
const (
	TagApp  = "app"      // Config.App
	TagGate = order.Gate // "ready", "draining" or "drained"; absent: not ready
	TagHop  = "hop"      // "1": it takes requests by Proto; absent: by ProtoText alone
)

// hopLanes is the value of TagHop.
const hopLanes = "1"

// Peers is what a Gate needs of the cluster. A *cluster.Node is one.
type Peers interface {
	// Dial connects to the member with this NodeID.
	Dial(ctx context.Context, id, proto string) (net.Conn, error)
	// Listener returns the connections that members open with Dial.
	Listener(proto string) net.Listener
	// Watch yields the present state at once and the newest one after changes, until ctx ends.
	Watch(ctx context.Context) iter.Seq[cluster.State]
	// SetTag changes one of this node's gossiped tags; "" removes it.
	SetTag(key, value string) error
}

// Config says how a Gate works. The zero Config forwards to peers without an App, trusts no proxy and drains
// within 25 seconds. Nothing in it can be changed later.
type Config struct {
	// ID and Node are this node's NodeID and name.
	ID, Node string

	// App names the application; only peers of the same App are chosen. "" is a name like any other.
	App string

	// Role is this node's role. A front forwards every request; a staging node refuses every request, but those
	// that Admits lets in.
	Role cluster.Role

	// Admits reports whether a staging node answers a request all the same. nil = none. A farm sets it.
	Admits func(*http.Request) bool

	// Routes says what may be done with the requests of some routes that other requests are spared. nil =
	// nothing.
	Routes []Route

	// MaxRunning is how many handlers of the application run on this node at a time, without the streams
	// whose handlers ask for Draining; more requests wait for a moment, go to peers, or are answered with
	// 503. 0 = any number while there are processors to spare, and then as many as the processors can do, but
	// not fewer than 256 for each; negative = any number.
	MaxRunning int

	// TrustedProxies are the addresses whose X-Forwarded-For, X-Forwarded-Proto, X-Real-Ip, Forwarded and
	// X-Request-Id are believed. nil: nobody's. Such headers of anybody else are removed.
	TrustedProxies []netip.Prefix

	// TrustUnix makes trusted proxies of all who connect over a unix socket.
	TrustUnix bool

	// Upgrades names protocols beside WebSocket to which handlers may switch, by the Upgrade of a request and
	// http.Hijacker, as "chat" or "chat/2". Any other is removed from the requests of clients, so that they
	// are answered by HTTP. What a switched connection carries the farm does not see: a protocol that carries
	// requests, such as h2c, gets past all that it does for them.
	Upgrades []string

	// ShowNodes tells clients by X-Served-By which node's handler has answered, by X-Served-Via which node
	// has taken the request from the client, if that was another one, and at ReadyPath all that a node waits
	// for.
	ShowNodes bool

	// LivePath and ReadyPath are answered before the application. "" = /livez and /readyz.
	LivePath, ReadyPath string

	// DrainTimeout bounds a whole drain. 0 = 25 s.
	DrainTimeout time.Duration

	// CloseSpread bounds the part of a drain over which streams end: those of which handlers ask for
	// Draining, and WebSockets. They are told to go one by one, at random, a hundred in a second at least;
	// a WebSocket that is still open after a fifth of CloseSpread is closed. Where no peer could take them
	// all are told at once. 0 = two fifths of DrainTimeout, which is 10 s.
	CloseSpread time.Duration

	// Linger bounds how long a draining node goes on taking new requests and forwarding them, so that load
	// balancers notice. It ends early once no request has come for a tenth of it, and is skipped where no
	// peer could take them. 0 = two fifths of DrainTimeout, which is 10 s; negative = none.
	Linger time.Duration

	// Hold is how long after its start a node keeps requests that it can neither serve nor give to a peer,
	// 1024 at most, until it can; later ones, and more, are answered with 503. 0 = 10 s; negative = none.
	Hold time.Duration

	// Isolated reports whether this node has been without contact to the farm for so long that a balancer had
	// better choose another one; it goes on serving who comes all the same. nil = never.
	Isolated func() bool

	// Awaits says what this node's stop waits for beside requests, "" for nothing. ReadyPath tells it while
	// the node drains, on the admin port alone unless ShowNodes is set. nil = nothing. A farm sets it.
	Awaits func() string

	// BaseContext and ConnContext are used for forwarded requests as http.Server uses its own. nil = none.
	BaseContext func(net.Listener) context.Context
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	// Logger; nil = slog.Default().
	Logger *slog.Logger

	now func() time.Time // for what is remembered of peers; nil = time.Now
}

func (c Config) withDefaults() Config {
	c.LivePath = cmp.Or(c.LivePath, "/livez")
	c.ReadyPath = cmp.Or(c.ReadyPath, "/readyz")
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 25*time.Second)
	c.CloseSpread = cmp.Or(c.CloseSpread, c.DrainTimeout*2/5)
	c.Linger = max(cmp.Or(c.Linger, c.DrainTimeout*2/5), 0)
	c.Hold = max(cmp.Or(c.Hold, 10*time.Second), 0)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// Validate reports what is wrong with c, in a sentence.
func (c Config) Validate() error {
	d := c.withDefaults()
	switch {
	case !strings.HasPrefix(d.LivePath, "/") || !strings.HasPrefix(d.ReadyPath, "/"):
		return fmt.Errorf("forward: LivePath %q and ReadyPath %q must begin with a slash", d.LivePath, d.ReadyPath)
	case d.LivePath == d.ReadyPath:
		return fmt.Errorf("forward: LivePath and ReadyPath are both %q", d.LivePath)
	case d.DrainTimeout < 0:
		return fmt.Errorf("forward: DrainTimeout %v is negative", d.DrainTimeout)
	case d.CloseSpread < 0 || d.CloseSpread > d.DrainTimeout:
		return fmt.Errorf("forward: CloseSpread %v must be within the %v of DrainTimeout", d.CloseSpread,
			d.DrainTimeout)
	}
	for _, u := range c.Upgrades {
		if !isProtocol(u) {
			return fmt.Errorf("forward: Upgrades: %q is not the name of a protocol", u)
		}
	}
	_, err := newRoutes(c.Routes)
	return err
}
