package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// State is everything at one index. It never changes.
type State struct {
	revision  uint64 // the number given last
	release   uint64
	rollout   uint64
	revisions map[uint64]revision // those that releases name
	releases  []Release           // ascending
	epochs    []Epoch             // ascending; the last is in force
	rollouts  []Rollout           // ascending; only the last may be in progress
	canary    Canary
	turn      uint64 // see Turn

	credentials Credentials
}

// revision is a set of files that never changes.
type revision struct {
	files []File // sorted by path
	sum   [sha256.Size]byte
}

// File is a file of a revision, as it was written.
type File struct{ Path, Text string }

// Content names the content of a release. The zero Content is none.
type Content struct {
	Root     blob.Hash // of the manifest
	Source   blob.Hash // what the manifest was made of: contents of the same source are the same; zero = Root
	Manifest uint64    // bytes of the manifest
	Size     uint64    // bytes of all files
	Files    uint64
	Seal     string // bytes, by which its publisher has signed it; "" = it was not signed
}

// Needs says what a node must have to use a release.
type Needs struct {
	Program string // the lowest version of the program; "" = any
	Level   uint64 // the lowest protocol level that its program speaks; 0 = any
}

// Release is what a node shows: configuration and content, never one without the other.
type Release struct {
	ID       uint64 // goes up; 0 = the release of a farm that has none: defaults, and no content
	Revision uint64
	Content  Content
	Needs
	Publisher string // whose credential it was published with; "" = none
	Who, Why  string
	Key       string
	Index     uint64 // of the log
	Time      time.Time
	Tried     bool   // there was a rollout of it, other than a dry run or a canary that was given up
	Rejected  string // why its last rollout failed; "" = it did not
	Dry       bool   // it was made for a dry run, and goes when that ends
}

// Epoch is one switch of what is in force.
type Epoch struct {
	Number   uint64 // goes up by one
	Release  uint64
	Revision uint64 // of the release
	Rollout  uint64 // that has put it in force
	Index    uint64 // of the log
	Time     time.Time
	Who, Why string
	Failed   bool // the farm went back to the release before
}

// Policy says what a rollout does about a node that cannot be reached.
type Policy byte

// What a rollout can do about a node that cannot be reached.
const (
	Proceed Policy = iota // go on without it
	Fence                 // wait until it has noticed that it is alone, then go on
	Refuse                // change nothing
)

// Restarts says how programs are started again for a release with other values in fields that need that.
type Restarts byte

// How programs can be started again.
const (
	Rolling      Restarts = iota // one after the other, as long as the farm can do without each
	Simultaneous                 // all at once
	Manual                       // by whoever operates the farm
)

// Plan says how a rollout goes, as the log has it: 0 is 0. The defaults that configsync.Plan speaks of are filled in
// before. Durations are kept in ms, up to MaxDuration.
type Plan struct {
	Unreachable Policy
	Wait        time.Duration // before Unreachable counts
	MinReady    uint64        // nodes; 0 = a majority of the members, or all Nodes
	Stage       time.Duration // until all nodes have to be ready
	Confirm     time.Duration // within which all nodes have to confirm the switch; 0 = they are not asked
	Bake        time.Duration // how long they are asked at least
	Nodes       []string      // those of a canary; empty = the release is for all
	Dry         bool          // it ends where it would be activated
	Restart     Restarts      // for fields that need one
	Percent     uint64        // of the clients, who alone are shown the release; 0 = it is for all, or for Nodes
	Strict      time.Duration // that requests are held at most; 0 = they are not, and nodes switch one after the other
}

// forSome reports whether the release is for some nodes, or a share of the clients: it is not put in force.
func (p Plan) forSome() bool { return len(p.Nodes) > 0 || p.Percent > 0 }

// Phase is how far a rollout is.
type Phase byte

// The phases of a rollout. Those from Done on are ends.
const (
	Staging    Phase = iota + 1 // every node makes itself ready
	Confirming                  // it was switched; the nodes look whether they are well
	Done
	Aborted  // nothing has changed anywhere
	Returned // it was switched, and then back to the release before
)

// String returns the word for the phase, as operators are told it.
func (p Phase) String() string {
	names := [...]string{Staging: "staging", Confirming: "confirming", Done: "done", Aborted: "aborted", Returned: "returned"}
	if p > 0 && int(p) < len(names) {
		return names[p]
	}
	return "phase " + strconv.Itoa(int(p))
}

// Rollout is one attempt to put a release in force.
type Rollout struct {
	ID       uint64
	Release  uint64
	Was      uint64 // the epoch in force when it began
	Epoch    uint64 // the epoch that it has put in force; 0 = none
	Phase    Phase
	Plan     Plan
	Who      string
	Why      string
	Key      string
	Index    uint64 // of the log, of its beginning
	Begun    time.Time
	Frozen   time.Time // zero if no requests were held for it
	Switched time.Time // zero if it was not
	Ended    time.Time // zero while it is in progress

	// Ready and Unconfirmed are the nodes that were ready when it was activated, or frozen, and those that were not heard.
	Ready, Unconfirmed []string

	// By and Reason say who has ended it, and why, if that was before it was done.
	By, Reason string
}

// Canary is the release that some nodes show before the others, or all nodes to a share of the clients. The zero
// Canary is none.
type Canary struct {
	Rollout, Release uint64
	Nodes            []string // sorted; empty = it is for a share of the clients
	Percent          uint64   // of the clients, 1 to 100; 0 = it is for Nodes
}

// Current returns the epoch in force; the zero Epoch if nothing ever was.
func (s *State) Current() Epoch {
	if len(s.epochs) == 0 {
		return Epoch{}
	}
	return s.epochs[len(s.epochs)-1]
}

// Epochs returns the epochs that are kept, the newest last.
func (s *State) Epochs() []Epoch { return slices.Clone(s.epochs) }

// Epoch returns the epoch of that number; false if it is not kept.
func (s *State) Epoch(number uint64) (Epoch, bool) {
	return find(s.epochs, number, func(e Epoch) uint64 { return e.Number })
}

// Releases returns the releases that are kept, the newest last.
func (s *State) Releases() []Release { return slices.Clone(s.releases) }

// Release returns the release of that ID; false if it is not kept. There is always a release 0.
func (s *State) Release(id uint64) (Release, bool) {
	if id == 0 {
		return Release{}, true
	}
	return find(s.releases, id, func(r Release) uint64 { return r.ID })
}

// Rollouts returns the rollouts that are kept, the newest last.
func (s *State) Rollouts() []Rollout { return slices.Clone(s.rollouts) }

// Newest returns the rollout that began last; the zero Rollout if none is kept.
func (s *State) Newest() Rollout {
	if len(s.rollouts) == 0 {
		return Rollout{}
	}
	return s.rollouts[len(s.rollouts)-1]
}

// Rollout returns the rollout of that ID; false if it is not kept.
func (s *State) Rollout(id uint64) (Rollout, bool) {
	return find(s.rollouts, id, func(r Rollout) uint64 { return r.ID })
}

// InProgress returns the rollout that is in progress; false if none is.
func (s *State) InProgress() (Rollout, bool) {
	if n := len(s.rollouts); n > 0 && s.rollouts[n-1].Phase < Done {
		return s.rollouts[n-1], true
	}
	return Rollout{}, false
}

// Canary returns the canary; the zero Canary if there is none.
func (s *State) Canary() Canary { return s.canary }

// Turn goes up by one whenever clients of some share get another release than before without a new epoch: such a
// canary has begun, its share was raised, or it has ended. Of two states of one log the later one has neither a lower
// epoch nor a lower turn.
func (s *State) Turn() uint64 { return s.turn }

// Since returns since when all who are shown what is in force have been: since its epoch began, or a later canary was
// taken back from those who were shown that. It is the zero time if neither was.
func (s *State) Since() time.Time {
	since := s.Current().Time
	for _, r := range s.rollouts {
		if r.Plan.forSome() && r.Phase == Returned && r.Ended.After(since) {
			since = r.Ended
		}
	}
	return since
}

// For returns the release in force on a node. Canary says that it is one for some nodes only.
func (s *State) For(node string) (r Release, canary bool) {
	id := s.Current().Release
	if slices.Contains(s.canary.Nodes, node) {
		id, canary = s.canary.Release, true
	}
	r, _ = s.Release(id)
	return r, canary
}

// Files returns the files of a revision that a release names, sorted by path. They must not be modified.
func (s *State) Files(revision uint64) []File { return s.revisions[revision].files }

// Digest names all that a release consists of, other than by its number: releases of other logs, or of this
// one before it was put back to a backup, have other digests unless they are the same.
func (s *State) Digest(r Release) [sha256.Size]byte {
	b := s.revisions[r.Revision].sum
	out := append(b[:], r.Content.Root[:]...)
	out = binary.AppendUvarint(appendString(out, r.Program), r.Level)
	return sha256.Sum256(out)
}

// same reports whether two releases consist of the same.
func (s *State) same(a, b Release) bool {
	return s.revisions[a.Revision].sum == s.revisions[b.Revision].sum && a.Needs == b.Needs &&
		a.Content.source() == b.Content.source()
}

func (c Content) source() blob.Hash {
	if c.Source.IsZero() {
		return c.Root
	}
	return c.Source
}

func newRevision(files []File) revision {
	if len(files) == 0 {
		return revision{} // as of the revision 0, which is not in the map
	}
	var b []byte
	for _, f := range files {
		b = appendString(appendString(b, f.Path), f.Text)
	}
	return revision{files, sha256.Sum256(b)}
}

// find returns what has a number, out of what is sorted by it.
func find[T any](all []T, number uint64, of func(T) uint64) (found T, ok bool) {
	i, ok := slices.BinarySearchFunc(all, number, func(t T, n uint64) int { return cmp.Compare(of(t), n) })
	if !ok {
		return found, false
	}
	return all[i], true
}

// clone returns a state that can be edited: what it shares with s is never edited.
func (s *State) clone() *State {
	next := *s
	next.revisions = make(map[uint64]revision, len(s.revisions)+1)
	for n, r := range s.revisions {
		next.revisions[n] = r
	}
	next.releases, next.epochs = slices.Clone(s.releases), slices.Clone(s.epochs)
	next.rollouts = slices.Clone(s.rollouts)
	return &next
}
