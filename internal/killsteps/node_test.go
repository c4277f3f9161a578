package killsteps

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmctl"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// What the test's own program is, by this variable; without it, it is the test.
const (
	roleEnv  = "KILLSTEPS_ROLE"
	roleNode = "node"
	roleCtl  = "farmctl"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case roleNode:
		os.Exit(runNode())
	case roleCtl:
		os.Exit(farmctl.Program{Name: "farmctl", Configs: configs}.Main(os.Args[1:]))
	}
	os.Exit(ci.Run(m, "github.com/seed48eb2e21/webfarm/internal/killsteps"))
}

// siteConfig is the configuration of a release; its page says the same number.
type siteConfig struct{ Number int }

var (
	site    = configsync.NewConfig("site", siteConfig{})
	configs = []configsync.Declared{site}
)

// page is the content of a release.
const page = "public/index.html"

// setup is what a node is told when it starts.
type setup struct {
	Name, HTTP, Peer, Control, Dir string
	Join                           []string
}

const setupEnv = "KILLSTEPS_SETUP"

// arm says where a node is to kill itself, or what else it does wrong.
type arm struct {
	Step  string        // at which it kills itself; "" = none
	After uint64        // the rollout before the one that is meant
	Hold  time.Duration // how long its hook takes
	Ill   bool          // its self-check fails
}

// steps of a rollout, in their order.
const (
	proposed   = "proposed"   // it has applied the entry that begins the rollout
	fetching   = "fetching"   // it has some of the content, and not all
	fetched    = "fetched"    // it has all
	preparing  = "preparing"  // its hook runs
	voted      = "voted"      // it has said that it is ready, and another node has not
	switched   = "switched"   // it switches
	confirming = "confirming" // it looks whether it is well
	returned   = "returned"   // it switches back
)

// node is a process of the farm.
type node struct {
	setup
	farm  *farm.Farm
	armed atomic.Pointer[arm]
	base  atomic.Int64 // files of content when it was armed
}

// state is what a node says of itself.
type state struct {
	Name, Problem string
	Leads, Ready  bool
	Epoch         uint64
	Rollout       uint64 // the newest
	Phase         configsync.Phase
	Sum           string // of the replicated state, byte by byte
}

func runNode() int {
	n := &node{}
	if err := json.Unmarshal([]byte(os.Getenv(setupEnv)), &n.setup); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	n.armed.Store(&arm{})
	ctx, stop := context.WithCancel(context.Background())
	go func() { // it ends with the test
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	f, err := farm.Open(farm.Config{Name: n.Name, HTTP: n.HTTP, Peer: n.Peer, Dir: n.Dir, Join: n.Join,
		Admin: farm.None, Configs: configs, Prepare: []configsync.Hook{site.OnPrepare(n.prepare)},
		CheckContent: n.check, SelfCheck: n.selfCheck})
	if err == nil {
		n.farm = f
		go n.watch(ctx)
		go http.ListenAndServe(n.Control, n.control())
		err = errors.Join(f.Serve(ctx, http.HandlerFunc(n.show)), f.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return farm.ExitCode(err)
}

// show answers with the number of the configuration, and that of the content.
func (n *node) show(w http.ResponseWriter, r *http.Request) {
	text, err := fs.ReadFile(n.farm.Configs().FS(r.Context()), page)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%d %s", site.Get(r.Context()).Number, cmp.Or(strings.TrimSpace(string(text)), "0"))
}

// at kills the process if it is told to at this step.
func (n *node) at(step string) {
	if n.armed.Load().Step != step {
		return
	}
	fmt.Fprintln(os.Stderr, "killed at the step", step)
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {}
}

func (n *node) prepare(ctx context.Context, old, next *siteConfig) (commit, abort func(), err error) {
	n.at(preparing)
	if hold := n.armed.Load().Hold; hold > 0 {
		time.Sleep(hold)
	}
	if n.armed.Load().Step == voted {
		time.AfterFunc(votedAfter, func() { n.at(voted) })
	}
	return func() {
		if n.at(switched); next.Number < old.Number {
			n.at(returned)
		}
	}, nil, nil
}

// votedAfter is how long after its hook a node has certainly voted; the one that holds the rollout up takes longer.
const (
	votedAfter = 300 * time.Millisecond
	holdsFor   = time.Second
)

func (n *node) check(context.Context, fs.FS) error {
	n.at(fetched)
	return nil
}

func (n *node) selfCheck(context.Context) error {
	n.at(confirming)
	if n.armed.Load().Ill {
		return errors.New("ill")
	}
	return nil
}

// watch sees the steps at which no code of the program is called.
func (n *node) watch(ctx context.Context) {
	for ctx.Err() == nil {
		a := n.armed.Load()
		p, err := n.farm.Configs().Rollout(0)
		if err == nil && p.Rollout.ID > a.After && p.Rollout.Phase == configsync.PhaseStaging {
			n.at(proposed)
			if a.Step == fetching && n.blobs() > n.base.Load() {
				n.at(fetching)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// blobs returns how many files of content the node has.
func (n *node) blobs() (files int64) {
	filepath.WalkDir(filepath.Join(n.Dir, "content"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files++
		}
		return nil
	})
	return files
}

// control answers the test, on a port of its own.
func (n *node) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /arm", func(w http.ResponseWriter, r *http.Request) {
		a := &arm{}
		if err := json.NewDecoder(r.Body).Decode(a); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n.base.Store(n.blobs())
		n.armed.Store(a)
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(n.state()) })
	return mux
}

func (n *node) state() state {
	st := n.farm.Cluster().State()
	m := n.farm.Configs()
	s := state{Name: n.Name, Leads: st.Leader == st.Self, Epoch: m.Status().Epoch}
	if err := m.Usable(); err != nil {
		s.Problem = err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	s.Ready = n.farm.Ready(ctx) == nil
	if p, err := m.Rollout(0); err == nil {
		s.Rollout, s.Phase = p.Rollout.ID, p.Rollout.Phase
	}
	h := sha256.New()
	n.farm.Cluster().Handle("config").Local().Snapshot().WriteTo(h)
	s.Sum = hex.EncodeToString(h.Sum(nil))
	return s
}
