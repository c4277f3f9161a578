package configsync

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Config is one configuration: its name, its type and its defaults. Declare each once, as a package
// variable, and list it in Settings.Configs (farm.Config.Configs):
//
//	var site = configsync.NewConfig("site", Site{Banner: "Welcome"})
//
// It holds no value: nodes of several farms may use one Config, and each has its own. The methods take the
// context of a request, or one of Manager.Context, and panic if it comes from no Manager in whose Settings
// the Config is. They are safe for concurrent use. What they return is shared: it must not be changed.
type Config[T any] struct{ d *declaration }

// Declared is a Config of any type.
type Declared interface {
	Name() string
	JSONSchema() []byte
	declared() *declaration
}

func (c Config[T]) declared() *declaration { return c.d }

// declaration is what NewConfig knows. It never changes, but for the hint.
type declaration struct {
	name     string
	typ      *schema.Type
	goType   reflect.Type
	defaults *tree.Node
	where    string // file and line of NewConfig's caller

	// hint is the place of the config in the list of the Manager that was made last: nearly always there is one
	// list. A reader looks there first, and whether it is right.
	hint atomic.Uint32
}

// NewConfig returns the config called name, which has the values of defaults until a file says otherwise.
// The fields that files can set are those of T, a struct. Their names are those of their json tags; without
// one, MaxItems is maxItems and URL is url. A field may be a boolean, a number, a string, a time.Duration
// ("90s"), a type that reads and writes itself as text (encoding.TextUnmarshaler: time.Time, netip.Prefix,
// slog.Level), and a struct, slice, pointer, or map with strings for keys, of such.
//
// The tag reload:"restart" says that a changed field, or a part of it, has its effect when the program is
// started again. A field that nobody is to see is a Secret. It cannot be in a list, and has no default.
//
// A type, or that of a part of it, may have a method Validate() error. It must do nothing but look at the
// value: it runs whenever files are checked, also for what other nodes would get.
//
// NewConfig panics if the name is not one to 64 lower case letters, digits and -, beginning with a letter,
// or if T has a field that no file can hold, or that is called "paths" or "locked" in files, or if the
// defaults would not come back from a file as they are.
func NewConfig[T any](name string, defaults T) Config[T] {
	d := &declaration{name: name, goType: reflect.TypeFor[T](), where: "unknown place"}
	if _, file, line, ok := runtime.Caller(1); ok {
		d.where = fmt.Sprintf("%s:%d", filepath.Base(file), line)
	}
	err := error(nil)
	if d.typ, err = schema.Of(d.goType, layer.Words...); err == nil {
		d.defaults, err = d.typ.Encode(reflect.ValueOf(defaults))
	}
	switch {
	case !layer.ValidName(name):
		panic(fmt.Sprintf("configsync: %q cannot be the name of a config: it takes one to %d lower case "+
			"letters, digits and -, the first a letter", name, layer.MaxName))
	case err != nil:
		panic(fmt.Sprintf("configsync: config %q: %v", name, err))
	}
	return Config[T]{d}
}

// Name returns the config's name.
func (c Config[T]) Name() string {
	if c.d == nil {
		return ""
	}
	return c.d.name
}

// Get returns the value as the request sees it: what was in force when the request came in, on every call.
// Where files have sections for paths of URLs, it is the value for the request's path.
func (c Config[T]) Get(ctx context.Context) *T {
	if v, ok := ctx.(*view); ok && c.d != nil { // no other middleware stands between
		n := &v.snapshot.near[c.d.hint.Load()%nearby]
		if t, ok := n.value.(*T); ok && n.d == c.d {
			return t
		}
	}
	return c.get(ctx)
}

// get is Get in all cases. It is not inlined: its caller is quick because it is small.
//
//go:noinline
func (c Config[T]) get(ctx context.Context) *T {
	v := c.view(ctx)
	return c.in(v.snapshot, v.path)
}

// Load returns the newest value that this node has, for the request's path. It is for what lasts longer than
// a request should see the same. In a preview it is the value of that.
func (c Config[T]) Load(ctx context.Context) *T {
	if v, ok := ctx.(*view); ok && c.d != nil && !v.preview {
		n := &v.in.now.Load().near[c.d.hint.Load()%nearby]
		if t, ok := n.value.(*T); ok && n.d == c.d {
			return t
		}
	}
	return c.load(ctx)
}

// load is Load in all cases, as get is.
//
//go:noinline
func (c Config[T]) load(ctx context.Context) *T {
	v := c.view(ctx)
	if v.preview {
		return c.in(v.snapshot, v.path)
	}
	return c.in(v.in.now.Load(), v.path)
}

// view returns what the context knows.
func (c Config[T]) view(ctx context.Context) *view {
	v, ok := ctx.(*view)
	if !ok {
		if v, ok = ctx.Value(viewKey{}).(*view); !ok {
			panic(c.noView())
		}
	}
	return v
}

// in returns the value that a snapshot has for a path.
func (c Config[T]) in(s *snapshot, path string) *T {
	for i := range s.quick {
		q := &s.quick[i]
		if q.d != c.d {
			continue
		}
		if len(q.sections) == 0 {
			return q.base.(*T)
		}
		return q.within(path).(*T)
	}
	panic(c.notListed())
}

func (c Config[T]) noView() string {
	if c.d == nil {
		return "configsync: a Config was used that NewConfig has not made"
	}
	return fmt.Sprintf("configsync: config %q was used with a context that no Manager has seen: put the "+
		"Handler around this handler, and pass the request's context; outside of requests, take one of Manager.Context",
		c.d.name)
}

func (c Config[T]) notListed() string {
	if c.d == nil {
		return c.noView()
	}
	return fmt.Sprintf("configsync: config %q (%s) is not among those of this farm: list it in "+
		"farm.Config.Configs", c.d.name, c.d.where)
}
