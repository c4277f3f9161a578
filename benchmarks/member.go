package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
)

const systemFarm = "farm" // whole nodes, in contrast to webfarm, which is the log alone

// announcer is a client by which what one node says is seen by all.
type announcer interface {
	// Announce has all nodes show a value, and returns when the system says that it is done.
	Announce(ctx context.Context, value int) error

	// Seen is when this node has shown each value.
	Seen() *sightings
}

// publisher is a client that publishes a site folder to all nodes.
type publisher interface {
	// Publish returns when the system says that it is done: the number of the release, and its bytes. With
	// hold, it is only kept.
	Publish(ctx context.Context, dir string, hold bool) (release uint64, bytes int64, err error)

	// Activate puts a release in force that is kept.
	Activate(ctx context.Context, release uint64) error
}

// sightings are when values were first seen.
type sightings struct {
	mu   sync.Mutex
	at   map[int]time.Time // guarded by mu
	more chan struct{}     // closed when there is another; guarded by mu
}

func newSightings() *sightings { return &sightings{at: map[int]time.Time{}, more: make(chan struct{})} }

// add notes that a value is seen now.
func (s *sightings) add(value int) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.at[value]; !ok {
		s.at[value] = now
		close(s.more)
		s.more = make(chan struct{})
	}
}

// await returns when a value was first seen, once it is.
func (s *sightings) await(ctx context.Context, value int) (time.Time, error) {
	for {
		s.mu.Lock()
		at, ok := s.at[value]
		more := s.more
		s.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("value %d is not seen: %w", value, ctx.Err())
		}
	}
}

// settings are a configuration of one number, which a site folder may have too.
type settings struct {
	Value int `json:"value"`
}

var setting = configsync.NewConfig("bench", settings{})

const settingFile = "bench.yaml"

func settingText(value int) string { return "value: " + strconv.Itoa(value) + "\n" }

// member is a whole node of a farm in a worker, with its public port. A worker beyond the endpoints is a
// node that publishes.
type member struct {
	f    *farm.Farm
	seen *sightings
	stop context.CancelFunc
	done chan error // of Serve
}

func newMember(s setup) (client, error) {
	cfg := farm.Config{Farm: "bench", Name: fmt.Sprintf("node%d", s.Node+1), HTTP: "127.0.0.1:0",
		Admin: farm.None, Join: s.Endpoints, Secrets: []string{s.Secret}, Dir: s.Dir,
		Configs: []configsync.Declared{setting},
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if s.Node < len(s.Endpoints) {
		cfg.Peer = s.Endpoints[s.Node]
	} else {
		cfg.Role = cluster.Staging
	}
	f, err := farm.Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	m := &member{f: f, seen: newSightings(), done: make(chan error, 1)}
	var serving context.Context
	serving, m.stop = context.WithCancel(context.Background())
	go func() { m.done <- f.Serve(serving, f.Content()) }()
	if err := f.Ready(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	go func() {
		for v := range setting.Follow(f.Configs().Context(serving)) {
			m.seen.add(v.Value.Value)
		}
	}()
	return m, nil
}

// Seen implements announcer.
func (m *member) Seen() *sightings { return m.seen }

// Announce implements announcer.
func (m *member) Announce(ctx context.Context, value int) error {
	_, err := m.f.Configs().Put(ctx, configsync.Change{Write: m.write(),
		Set: configsync.Files{settingFile: settingText(value)}})
	return err
}

func (m *member) write() configsync.Write {
	return configsync.Write{Epoch: m.f.Configs().Status().Epoch, Who: "bench"}
}

// Publish implements publisher.
func (m *member) Publish(ctx context.Context, dir string, hold bool) (release uint64, bytes int64,
	err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, 0, err
	}
	defer root.Close()
	res, err := m.f.Publish(ctx, root.FS(), farm.Publication{Hold: hold})
	for _, r := range m.f.Configs().Releases() {
		if r.ID == res.Release {
			bytes = int64(r.Content.Size + r.Content.Manifest)
		}
	}
	return res.Release, bytes, err
}

// Activate implements publisher.
func (m *member) Activate(ctx context.Context, release uint64) error {
	_, err := m.f.Configs().Activate(ctx, m.write(), release, configsync.Plan{})
	return err
}

// Write and Read implement client; nobody calls them.
func (m *member) Write(context.Context, string, []byte) error { return errors.ErrUnsupported }
func (m *member) Read(context.Context, string) error          { return errors.ErrUnsupported }

func (m *member) Leads(context.Context) (bool, error) {
	st := m.f.Cluster().State()
	return st.Leader == st.Self, nil
}

func (m *member) Close() error {
	m.stop()
	return errors.Join(<-m.done, m.f.Close())
}

// announce has a worker announce a value, or publish; At is when it was asked to, Done when it was done.
func announce(c client, o order) (r report) {
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	r.At = time.Now().UnixNano()
	var err error
	switch p, publishes := c.(publisher); {
	case o.Do == orderAnnounce:
		err = c.(announcer).Announce(ctx, o.Value)
	case !publishes:
		err = errors.ErrUnsupported
	case o.Do == orderPublish:
		r.Release, r.Bytes, err = p.Publish(ctx, o.Name, o.Held)
	default:
		err = p.Activate(ctx, o.Release)
	}
	r.Done = time.Now().UnixNano()
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

// saw waits until a worker's node has shown a value.
func saw(c client, o order) (r report) {
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	at, err := c.(announcer).Seen().await(ctx, o.Value)
	if err != nil {
		r.Err = err.Error()
	}
	r.At = at.UnixNano()
	return r
}

// apart is from the first of times to the last, and last is that.
func apart(at []time.Time) (d time.Duration, last time.Time) {
	first := slices.MinFunc(at, time.Time.Compare)
	last = slices.MaxFunc(at, time.Time.Compare)
	return last.Sub(first), last
}
