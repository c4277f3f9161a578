package credential

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Order says all that a publication is to do. What it does not say is not done.
type Order struct {
	Farm string `json:"farm"`
	Key  string `json:"key"`  // random, and the same when the publication is repeated: it is not done twice
	Made int64  `json:"made"` // by the publisher's clock, in ms since 1970

	Root    blob.Hash `json:"root,omitzero"`    // of the content's manifest; zero = the content stays as it is
	Config  blob.Hash `json:"config,omitzero"`  // FilesHash of the configuration; zero = it stays as it is
	Program string    `json:"program,omitzero"` // the lowest version of the program that can use it; "" = any
	Level   uint64    `json:"level,omitzero"`   // the lowest protocol level that its program speaks; 0 = any
	Who     string    `json:"who,omitzero"`
	Why     string    `json:"why,omitzero"`

	// Epoch is the one that must be in force; nil = whichever is when the publication begins.
	Epoch *uint64 `json:"epoch,omitempty"`

	Overwrite bool `json:"overwrite,omitzero"` // also what was changed in the farm since the last publication

	Hold bool `json:"hold,omitzero"` // the release is kept for later, and nothing is switched

	// Preview has a release that is kept for later made ready on all nodes, for whoever gets the token of it, which is
	// good for so many ms; 0 = there is none.
	Preview int64 `json:"preview,omitzero"`
	Plan    Plan  `json:"plan,omitzero"`
}

// Plan says how the switch goes: what configsync.Plan means by the same names. Durations are in ms.
type Plan struct {
	Unreachable string   `json:"unreachable,omitzero"` // proceed, fence or refuse; "" = proceed
	Wait        int64    `json:"wait,omitzero"`
	MinReady    uint64   `json:"min_ready,omitzero"`
	Stage       int64    `json:"stage,omitzero"`
	Confirm     int64    `json:"confirm,omitzero"`
	Bake        int64    `json:"bake,omitzero"`
	Nodes       []string `json:"nodes,omitempty"` // of a canary
	Dry         bool     `json:"dry,omitzero"`
	Restart     string   `json:"restart,omitzero"` // rolling, simultaneous or manual; "" = rolling
}

// MaxPreview is how long a preview is good at most.
const MaxPreview = 30 * 24 * time.Hour

// MaxOrder is how many bytes an order has at most.
const MaxOrder = 3 << 10

const (
	maxKey  = 64
	maxWho  = 256
	maxWhy  = 1024
	maxTime = 1 << 50 // ms since 1970
)

// encode returns the order as the bytes that are signed. There is one form for one order.
func (o Order) encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if len(o.Plan.Nodes) == 0 {
		o.Plan.Nodes = nil // which is written in the same way as none at all
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		return nil, wrongOrder("%v", err)
	}
	if b.Len() > MaxOrder {
		return nil, wrongOrder("it has %d bytes, and may have %d: say less", b.Len(), MaxOrder)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeOrder takes what encode writes, and nothing else: JSON that two readers could understand differently
// is refused.
func decodeOrder(b []byte) (o Order, err error) {
	if len(b) > MaxOrder {
		return o, wrongOrder("it has %d bytes, and may have %d", len(b), MaxOrder)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return Order{}, wrongOrder("%v; was it made by a newer version of the program?", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Order{}, wrongOrder("something follows it")
	}
	again, err := o.encode()
	if err != nil {
		return Order{}, err
	}
	if !bytes.Equal(again, b) {
		return Order{}, wrongOrder("it is not written as an order is")
	}
	return o, nil
}

func wrongOrder(format string, args ...any) error {
	return fmt.Errorf("%w: the order: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func (o Order) check() error {
	if err := CheckName(o.Farm); err != nil {
		return wrongOrder("the farm's name: %v", err)
	}
	for _, t := range []struct {
		of, text string
		most     int
	}{{"key", o.Key, maxKey}, {"program", o.Program, maxKey}, {"who", o.Who, maxWho}, {"why", o.Why, maxWhy}} {
		if err := checkText(t.text, t.most); err != nil {
			return wrongOrder("%s: %v", t.of, err)
		}
	}
	switch p := o.Plan; {
	case o.Key == "":
		return wrongOrder("it has no key")
	case o.Made < 0 || o.Made > maxTime:
		return wrongOrder("the time is none")
	case !slices.Contains([]string{"", "proceed", "fence", "refuse"}, p.Unreachable):
		return wrongOrder("%.40q is nothing to do about a node that cannot be reached: it is proceed, fence or "+
			"refuse", p.Unreachable)
	case !slices.Contains([]string{"", "rolling", "simultaneous", "manual"}, p.Restart):
		return wrongOrder("%.40q is no way to restart nodes: it is rolling, simultaneous or manual", p.Restart)
	case min(p.Wait, p.Stage, p.Bake) < 0 || max(p.Wait, p.Stage, p.Confirm, p.Bake) > maxTime || p.Confirm < -1:
		return wrongOrder("a duration is none")
	case o.Hold && (p.Dry || len(p.Nodes) > 0):
		return wrongOrder("what is kept for later is not switched, so that it has neither a dry run nor a canary")
	}
	if o.Preview < 0 || o.Preview > MaxPreview.Milliseconds() || o.Preview > 0 && !o.Hold {
		return wrongOrder("a preview is of what is kept for later, and for %v at most", MaxPreview)
	}
	for _, n := range o.Plan.Nodes {
		if err := CheckName(n); err != nil {
			return wrongOrder("the name of a node: %v", err)
		}
	}
	return nil
}

// How old an order may be, and how far the publisher's clock may be ahead of the farm's.
const (
	MaxAge   = 24 * time.Hour
	MaxAhead = 10 * time.Minute
)

// CheckClock returns nil if the order was made lately, by a clock of the farm's; else ErrClock.
func (o Order) CheckClock(now time.Time) error {
	switch made := time.UnixMilli(o.Made); {
	case made.After(now.Add(MaxAhead)):
		return fmt.Errorf("%w: the order says %s, and the farm's clock %s: set the publisher's clock", ErrClock,
			day(made), day(now))
	case made.Before(now.Add(-MaxAge)):
		return fmt.Errorf("%w: the order is of %s, and an order is good for %v: publish again, and look whether "+
			"the publisher's clock is right", ErrClock, day(made), MaxAge)
	}
	return nil
}

// FilesHash returns what Order.Config says of files of configuration: a hash of all paths and texts. It is
// never zero.
func FilesHash(files map[string]string) blob.Hash {
	var b []byte
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for _, s := range []string{path, files[path]} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return blob.Sum(b)
}

// FitsContent returns nil if the order is about the content with this root; else ErrOrder.
func (o Order) FitsContent(root blob.Hash) error {
	if o.Root != root || root.IsZero() {
		return fmt.Errorf("%w: the publisher has signed content %v, and this is %v", ErrOrder, short(o.Root),
			short(root))
	}
	return nil
}

// FitsConfig returns nil if the order is about these files; else ErrOrder.
func (o Order) FitsConfig(files map[string]string) error {
	if h := FilesHash(files); o.Config != h {
		return fmt.Errorf("%w: the publisher has signed other files of configuration: %v, and these are %v",
			ErrOrder, short(o.Config), short(h))
	}
	return nil
}

func short(h blob.Hash) string {
	if h.IsZero() {
		return "none"
	}
	return h.String()[:12]
}
