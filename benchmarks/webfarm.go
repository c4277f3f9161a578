package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// A worker of Webfarm is a node of the farm: that is how it is used.
type webfarm struct {
	node *cluster.Node
	h    *cluster.Handle
	jobs *once.Client // which costs nothing until it is used
}

const maxStale = time.Minute // as the sessions have it

func newWebfarm(s setup) (client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	news := new(once.News)
	n, err := cluster.Open(ctx, cluster.Config{
		Farm: "bench", Name: fmt.Sprintf("node%d", s.Node+1), Dir: s.Dir, Listen: s.Endpoints[s.Node], Join: s.Endpoints,
		Secrets: []string{s.Secret},
		Machines: map[string]func() cluster.StateMachine{"values": newValues,
			"once": func() cluster.StateMachine { return once.NewMachine(news) }},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	if err := n.Ready(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	log := n.Handle("once")
	jobs := once.New(once.Config{Log: log, Local: func() *once.Machine { return log.Local().(*once.Machine) }, News: news,
		Run: n.Run(), Node: fmt.Sprintf("node%d", s.Node+1), Ended: n.AwaitEnd, Alive: n.Running})
	return &webfarm{n, n.Handle("values"), jobs}, nil
}

// Holder implements locker: a node holds locks for all that it does.
func (w *webfarm) Holder(int, bool, bool) (lockFunc, error) {
	return func(ctx context.Context, name string) (func(context.Context) error, error) {
		l, err := w.jobs.Lock(ctx, name)
		if err != nil {
			return nil, err
		}
		return func(context.Context) error { return l.Unlock() }, nil
	}, nil
}

func (w *webfarm) Write(ctx context.Context, key string, value []byte) error {
	cmd := make([]byte, 0, 1+len(key)+len(value))
	cmd = append(append(append(cmd, byte(len(key))), key...), value...)
	_, _, err := w.h.Propose(ctx, cmd)
	return err
}

// Read reads as the sessions do: from this node's memory, as long as the node has been in contact recently.
func (w *webfarm) Read(_ context.Context, key string) error {
	if s := w.h.Staleness(); s > maxStale {
		return fmt.Errorf("out of contact for %v", s)
	}
	if w.h.Local().Query([]byte(key)) == nil {
		return fmt.Errorf("no %s", key)
	}
	return nil
}

func (w *webfarm) Leads(context.Context) (bool, error) {
	s := w.node.State()
	return s.Leader == s.Self, nil
}

func (w *webfarm) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(w.jobs.Close(ctx), w.node.Close())
}

// values is a state machine that keeps values by key. A command is a key, with its length in a byte before it, and a value.
type values struct {
	mu sync.RWMutex
	m  map[string][]byte
}

func newValues() cluster.StateMachine { return &values{m: map[string][]byte{}} }

func (v *values) Apply(_ uint64, _ time.Time, cmd []byte) []byte {
	if len(cmd) == 0 || len(cmd) < 1+int(cmd[0]) {
		return []byte("?")
	}
	key, value := cmd[1:1+cmd[0]], cmd[1+cmd[0]:]
	v.mu.Lock()
	defer v.mu.Unlock()
	v.m[string(key)] = slices.Clone(value)
	return nil
}

func (v *values) Query(key []byte) []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.m[string(key)]
}

func (v *values) Snapshot() io.WriterTo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return frozen(maps.Clone(v.m))
}

// frozen is a copy of the map; the values in it do not change.
type frozen map[string][]byte

func (f frozen) WriteTo(w io.Writer) (written int64, err error) {
	for key, value := range f {
		n, err := fmt.Fprintf(w, "%q %q\n", key, value)
		if written += int64(n); err != nil {
			return written, err
		}
	}
	return written, nil
}

func (v *values) Restore(r io.Reader) error {
	m := map[string][]byte{}
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(all)) {
		var key, value string
		if _, err := fmt.Sscanf(line, "%q %q\n", &key, &value); err != nil {
			return err
		}
		m[key] = []byte(value)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.m = m
	return nil
}
