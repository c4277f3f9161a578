package session

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config says how sessions behave. The zero Config is right for a site served over HTTPS, save for Keys. It is read once,
// by New.
type Config struct {
	Idle     time.Duration // a session ends this long after its last use (up to a minute later); 0 = 30 min
	Absolute time.Duration // a session ends this long after its creation, used or not; 0 = 12 h

	CommitTimeout time.Duration // how long a change may wait for the store, a second at most on a node out of contact; 0 = 5 s
	WaitTimeout   time.Duration // how long a read waits for a node that is behind the client; 0 = 100 ms
	MaxStale      time.Duration // how long a node out of contact still answers reads; 0 = 1 min

	// Limits bound what sessions hold, each and all together. They hold for the whole farm: the nodes agree on them in the log,
	// and if nodes are started with different ones, those of the last to start come into force. 0 in a field = the value of
	// DefaultLimits. Once Limits.Total, or Limits.Sessions, is reached, new sessions are refused by ErrFull (503) and existing ones
	// are served; the last eighth of Total is for them to grow into. Every node holds every session, so set Total by the
	// smallest machine. As long as the farm works at a protocol level below 3, as during an upgrade, limits
	// other than Total are the defaults, and each node goes by its own Total.
	Limits Limits

	Cookie Cookie
	Header string // header that carries tokens for clients without cookies, such as "Session-Token"; "" = cookies only

	// Keys signs tokens, with its key for KeyPurpose. It is required unless the store is NewMemory's: nil then means a
	// random key, which ends with the process.
	Keys Keys

	// OnError answers a request whose session could not be read, or whose changes could not be committed, in place of what
	// the handler wrote. Nothing has been written to w, and its header holds nothing of the handler's; r has no session and
	// holds no token. If it writes nothing, the plain page goes out. nil means a plain page: 503 with Retry-After, or 500 for
	// ErrTooLarge, save where there are too many sessions.
	OnError func(w http.ResponseWriter, r *http.Request, err error)

	Logger *slog.Logger // nil = slog.Default()
}

// Cookie says how the cookie looks that carries the token. The zero Cookie is named __Host-sid: for this host alone, over
// HTTPS alone, until the browser closes.
type Cookie struct {
	Name     string        // "" = __Host-sid; __Secure-sid if Domain is set; sid if Insecure
	Domain   string        // share the cookie with the hosts below this domain; "" = this host only
	SameSite http.SameSite // 0 = Lax
	Persist  bool          // keep it when the browser closes, until the session's absolute end
	Insecure bool          // allow plain HTTP: for development
}

// IndexHeader carries, for clients that use Config.Header, how new the session is that they have seen. A client sends
// back the greatest value it got for the token it sends.
const IndexHeader = "Session-Index"

func (c Config) withDefaults() Config {
	setDefault(&c.Idle, 30*time.Minute)
	setDefault(&c.Absolute, 12*time.Hour)
	setDefault(&c.CommitTimeout, 5*time.Second)
	setDefault(&c.WaitTimeout, 100*time.Millisecond)
	setDefault(&c.MaxStale, time.Minute)
	c.Limits = limitsWithDefaults(c.Limits)
	if c.Cookie.SameSite == 0 {
		c.Cookie.SameSite = http.SameSiteLaxMode
	}
	if c.Cookie.Name == "" {
		c.Cookie.Name = c.Cookie.prefix() + "sid"
	}
	c.Header = http.CanonicalHeaderKey(c.Header)
	if c.OnError == nil {
		c.OnError = errorPage
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

func (c Cookie) prefix() string {
	switch {
	case c.Insecure:
		return ""
	case c.Domain != "":
		return "__Secure-"
	}
	return "__Host-"
}

// indexName returns the name of the cookie beside c that carries the index: __Host-six beside __Host-sid.
func (c Cookie) indexName() string {
	if c.Name == c.prefix()+"sid" {
		return c.prefix() + "six"
	}
	return c.Name + "-six"
}

// validate checks a Config that has its defaults.
func (c Config) validate() error {
	for name, d := range map[string]time.Duration{"Idle": c.Idle, "Absolute": c.Absolute, "CommitTimeout": c.CommitTimeout,
		"WaitTimeout": c.WaitTimeout, "MaxStale": c.MaxStale} {
		if d < time.Millisecond {
			return fmt.Errorf("session: Config.%s is %v: it must be a millisecond at least", name, d)
		}
	}
	if err := checkLimits(c.Limits); err != nil {
		return err
	}
	if err := (&http.Cookie{Name: c.Header, Value: "x"}).Valid(); c.Header != "" && err != nil {
		return fmt.Errorf("session: Config.Header %q is not the name of a header", c.Header)
	}
	if slices.Contains(takenHeaders, c.Header) || strings.HasPrefix(c.Header, "Content-") {
		return fmt.Errorf("session: Config.Header %s means something else already", c.Header)
	}
	return c.Cookie.validate()
}

// takenHeaders are those that HTTP or this package puts to a use which a token would break, or break by its presence.
var takenHeaders = []string{"Cache-Control", "Connection", "Cookie", "Expect", "Host", "Set-Cookie", IndexHeader, "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "Vary"}

func (c Cookie) validate() error {
	probe := &http.Cookie{Name: c.Name, Value: "x", Domain: c.Domain}
	if err := probe.Valid(); err != nil {
		return fmt.Errorf("session: Config.Cookie: %w", err)
	}
	name := strings.ToLower(c.Name) // browsers compare the prefixes so
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	switch {
	case c.Insecure && slices.ContainsFunc([]string{"__host-", "__secure-", "__http-"}, hasPrefix):
		return fmt.Errorf("session: browsers refuse a cookie named %s over plain HTTP (Config.Cookie.Insecure)", c.Name)
	case c.Domain != "" && hasPrefix("__host-"):
		return fmt.Errorf("session: browsers refuse a cookie named %s with a Domain", c.Name)
	case c.SameSite < http.SameSiteDefaultMode || c.SameSite > http.SameSiteNoneMode:
		return fmt.Errorf("session: Config.Cookie.SameSite is %d, which package http does not know", c.SameSite)
	case c.SameSite == http.SameSiteNoneMode && c.Insecure:
		return errors.New("session: browsers refuse a cookie with SameSite=None over plain HTTP (Config.Cookie.Insecure)")
	}
	return nil
}
