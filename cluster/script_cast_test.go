package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// actor is a machine of a script, over all lives of its node.
type actor struct {
	*labNode
	disk   hangSwitch
	full   atomic.Bool // the disk has no room
	twist  atomic.Pointer[string]
	slow   slowness
	note   func(number int, index, chain uint64, command []byte) // see kv
	logs   lockedBuffer
	copied string // where the copy of its data directory is
	server string // what it was before the last thing that happened to it: Raft server ID,
	in     *instance
	gone   chan struct{} // closed when the life before has ended; nil = there was none
	lives  int

	mu  sync.Mutex
	won []electionWon
}

// electionWon is an election that raft said to have won.
type electionWon struct {
	life int
	term uint64
}

// addMachine adds one that is configured, but not started.
func (s *script) addMachine() *actor {
	i := len(s.cast) + 1
	c := Config{Name: fmt.Sprintf("n%d", i), Secrets: secretsOf("old")}
	if s.durable {
		c.Dir = filepath.Join(s.dir, c.Name)
	}
	a := &actor{labNode: &labNode{lab: s.lab, conf: c, hooks: hooks{lookup: s.hosts.lookup}}}
	a.moveTo(fmt.Sprintf("10.0.0.%d", i))
	a.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store {
		return fullStore{hangingStore{inner, &a.disk}, &a.full}
	}
	a.conf.Machines = map[string]func() StateMachine{"kv": a.newKV}
	a.log = slog.New(&scriptLog{a, slog.NewTextHandler(&a.logs, nil)})
	s.cast, s.nodes = append(s.cast, a), append(s.nodes, a.labNode)
	return a
}

// newKV is a kv that is not deterministic while this machine is confused.
func (a *actor) newKV() StateMachine {
	m := newKV().(*kv)
	m.Note, m.Applying, m.Restoring = a.note, a.slow.applying, a.slow.restoring
	m.Twist = func() string {
		if t := a.twist.Load(); t != nil {
			return *t
		}
		return ""
	}
	return m
}

func (a *actor) moveTo(ip string) { a.ip, a.conf.Listen = ip, ip+":7946" }

// remember notes what the node is before something happens to it.
func (a *actor) remember() {
	if a.up {
		a.in = a.instance()
		a.server = a.in.server
	}
}

func (a *actor) begin() {
	a.await()
	a.lives++
	a.labNode.start()
}

// finish stops the node in an orderly way.
func (a *actor) finish() {
	a.remember()
	a.stop()
}

// die ends the node as kill -9 does: at once, without a word. What is left of it ends apart from what goes
// on.
func (a *actor) die() {
	a.remember()
	a.up = false
	a.live.Store(nil)
	a.lab.net.Down(a.ip)
	a.freeDisk()
	gone := make(chan struct{})
	a.gone = gone
	go func(n *Node) {
		defer close(gone)
		n.Close()
	}(a.Node)
}

// await waits until what was left of a killed node has ended, and its machine is up again.
func (a *actor) await() {
	if a.gone != nil {
		<-a.gone
		a.gone = nil
		a.lab.net.Up(a.ip)
	}
}

func (a *actor) freeDisk() {
	a.disk.release()
	a.full.Store(false)
}

// scriptLog keeps what an operator would read, what memberlist warns of, and the elections won.
type scriptLog struct {
	a    *actor
	next slog.Handler
}

var (
	wonElection   = regexp.MustCompile(`election won: term=(\d+)`)
	gossipWarning = regexp.MustCompile(`^\[(WARN|ERR)\] memberlist`)
)

func (h *scriptLog) Enabled(context.Context, slog.Level) bool { return true }

func (h *scriptLog) Handle(ctx context.Context, r slog.Record) error {
	if m := wonElection.FindStringSubmatch(r.Message); m != nil {
		term, _ := strconv.ParseUint(m[1], 10, 64)
		h.a.mu.Lock()
		h.a.won = append(h.a.won, electionWon{h.a.lives, term})
		h.a.mu.Unlock()
	}
	if r.Level >= slog.LevelInfo || gossipWarning.MatchString(r.Message) {
		h.next.Handle(ctx, r)
	}
	if l := testLogger(); l.Enabled(ctx, r.Level) {
		r.AddAttrs(slog.String("machine", h.a.conf.Name))
		return l.Handler().Handle(ctx, r)
	}
	return nil
}

func (h *scriptLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &scriptLog{h.a, h.next.WithAttrs(attrs)}
}
func (h *scriptLog) WithGroup(name string) slog.Handler {
	return &scriptLog{h.a, h.next.WithGroup(name)}
}

// who resolves one role after the other: "the leader, a follower", or "everyone but the leader".
func (s *script) who(text string) (out []*actor) {
	if all, but, ok := strings.Cut(text, " but "); ok {
		return s.except(s.who(all), s.who(but))
	}
	for phrase := range strings.SplitSeq(strings.ReplaceAll(text, " and ", ","), ",") {
		found := s.role(strings.TrimSpace(phrase))
		s.named = append(s.named, found...)
		out = append(out, found...)
	}
	return out
}

// subject is who, and from then on "it" and "them".
func (s *script) subject(text string) []*actor {
	s.it = s.who(text)
	return s.it
}

func (s *script) one(text string) *actor {
	found := s.who(text)
	if len(found) != 1 {
		s.fatalf("%q are %d machines", text, len(found))
	}
	return found[0]
}

var ordinals = []string{"first", "second", "third", "fourth", "fifth"}

func (s *script) role(phrase string) []*actor {
	if a := s.names[phrase]; a != nil {
		return []*actor{a}
	}
	if word, ok := strings.CutSuffix(strings.TrimPrefix(phrase, "the "), " machine"); ok {
		if i := slices.Index(ordinals, word); i >= 0 && i < len(s.cast) {
			return s.cast[i : i+1]
		}
		if word == "last" {
			return s.cast[len(s.cast)-1:]
		}
	}
	switch phrase {
	case "it", "them":
		return s.it
	case "everyone":
		return s.cast
	case "the rest":
		return s.except(s.cast, s.named)
	case "the leader":
		return []*actor{s.theLeader()}
	case "a follower":
		return s.any(phrase, s.except(s.followers(Voter), s.bound()))
	case "another follower":
		return s.any(phrase, s.except(s.followers(Voter), slices.Concat(s.bound(), s.it, s.named)))
	case "another":
		return s.any(phrase, s.except(s.live(), slices.Concat(s.it, s.named)))
	case "the followers":
		return s.followers(Voter)
	case "a stand-by":
		return s.any(phrase, s.except(s.followers(Nonvoter), s.bound()))
	case "the stand-bys":
		return s.followers(Nonvoter)
	case "the successor":
		return s.any(phrase, s.successors())
	}
	s.fatalf("there is no role %q", phrase)
	return nil
}

func (s *script) bound() (out []*actor) {
	for _, a := range s.names {
		out = append(out, a)
	}
	return out
}

func (s *script) any(phrase string, from []*actor) []*actor {
	if len(from) == 0 {
		s.fatalf("there is nobody who is %s", phrase)
	}
	i := rand.IntN(len(from))
	return from[i : i+1]
}

func (s *script) except(from, without []*actor) (out []*actor) {
	for _, a := range from {
		if !slices.Contains(without, a) {
			out = append(out, a)
		}
	}
	return out
}

func (s *script) live() (out []*actor) {
	for _, a := range s.cast {
		if a.up {
			out = append(out, a)
		}
	}
	return out
}

func (s *script) actor(n *labNode) *actor { return s.cast[slices.Index(s.nodes, n)] }

func (s *script) theLeader() *actor {
	n, _ := s.lab.leader()
	return s.actor(n)
}

// leads returns who leads at this moment, nil if nobody does.
func (s *script) leads() *actor {
	for _, a := range s.live() {
		if a.labNode.leads() {
			return a
		}
	}
	return nil
}

// followers returns those with that vote who live and do not lead.
func (s *script) followers(vote Vote) (out []*actor) {
	leader := s.theLeader()
	for _, a := range s.live() {
		if m, _ := leader.State().Member(a.ID()); a != leader && m.Vote == vote {
			out = append(out, a)
		}
	}
	return out
}

// successors returns those who live, have stood down, and have promised themselves to re-form the farm.
func (s *script) successors() (out []*actor) {
	for _, a := range s.live() {
		if a.Node.standing.Word().Successor == a.instance().server {
			out = append(out, a)
		}
	}
	return out
}

// oneLeaderPerTerm checks that no term had two leaders.
func (s *script) oneLeaderPerTerm() {
	leaders := map[uint64]string{}
	for _, a := range s.cast {
		a.mu.Lock()
		for _, w := range a.won {
			who := fmt.Sprintf("%s, start %d", a.conf.Name, w.life)
			if other := leaders[w.term]; other != "" && other != who {
				s.t.Errorf("%s: term %d had two leaders: %s and %s", s.file, w.term, other, who)
			}
			leaders[w.term] = who
		}
		a.mu.Unlock()
	}
	if len(leaders) == 0 && s.farm != "" {
		s.t.Errorf("%s: no election was noticed, so nothing is known about leaders", s.file)
	}
}

// pause is a moment of fake time.
func pause() { time.Sleep(50 * time.Millisecond) }
