package order

import (
	"time"
)

// Paths of what an operator asks about releases over HTTP (cluster/admin.Client.Dial). With each, the type of the
// request's body, and of the answer. Of lines, the last one has a Result or an Error.
const (
	PathReleases = "/releases"          // GET -> Releases
	PathActivate = "/releases/activate" // POST ReleaseActivate -> lines of RolloutLine
	PathRollback = "/releases/rollback" // POST ReleaseRollback -> lines of RolloutLine
	PathCanary   = "/releases/canary"   // POST ReleaseActivate with Nodes or Percent -> lines of RolloutLine
	PathUncanary = "/releases/uncanary" // POST RolloutEnd -> Error, or status 204
	PathAbort    = "/releases/abort"    // POST RolloutEnd -> Error, or status 204
	PathPreview  = "/releases/preview"  // POST ReleasePreview -> lines of RolloutLine
	PathFollow   = "/releases/follow"   // POST RolloutEnd, of which ID alone counts -> lines of RolloutLine
)

// RolloutPlan says how a rollout goes; the zero value, that it goes by the defaults. Durations are written as
// Go writes them: 10s.
type RolloutPlan struct {
	Unreachable string `json:"unreachable,omitempty"` // proceed, fence or refuse; "" = proceed
	Wait        string `json:"wait,omitempty"`
	MinReady    uint64 `json:"min_ready,omitempty"`
	Stage       string `json:"stage,omitempty"`
	Confirm     string `json:"confirm,omitempty"` // none = the nodes are not asked
	Bake        string `json:"bake,omitempty"`
	Restart     string `json:"restart,omitempty"` // rolling, simultaneous or manual; "" = rolling
	Strict      string `json:"strict,omitempty"`  // how long requests are held at most; "" = they are not
}

// ReleaseActivate puts a release in force that is kept. With Overwrite, also one that undoes what was changed in the
// configuration since it was made.
type ReleaseActivate struct {
	ConfigWrite
	Release   uint64      `json:"release"`
	Nodes     []string    `json:"nodes,omitempty"`   // of a canary
	Percent   uint64      `json:"percent,omitempty"` // of the clients, who are shown the canary
	Plan      RolloutPlan `json:"plan,omitzero"`
	Overwrite bool        `json:"overwrite,omitzero"`
}

// ReleasePreview has a release that is kept be seen by whoever gets the token; the release 0 is what staging nodes have in
// the folders that they watch.
type ReleasePreview struct {
	ConfigWrite
	Release uint64 `json:"release"`
	For     string `json:"for"` // how long, as Go writes durations
}

// ReleaseRollback puts the release of an earlier epoch in force again.
type ReleaseRollback struct {
	ConfigWrite
	To      uint64 `json:"to"`                // the epoch; 0 = the one before the one in force
	Restart string `json:"restart,omitempty"` // as in a plan, and so is Strict
	Strict  string `json:"strict,omitempty"`
}

// RolloutEnd ends a rollout, or a canary by its rollout.
type RolloutEnd struct {
	ID  uint64 `json:"id"` // 0 = the one in progress
	Who string `json:"who"`
	Why string `json:"why"`
}

// RolloutLine is how far a rollout is, or its end; the zero value says that whoever answers is still there.
type RolloutLine struct {
	Progress *Rollout       `json:"progress,omitempty"`
	Result   *ReleaseResult `json:"result,omitempty"`
	Error    *ReleaseError  `json:"error,omitempty"`
}

// Rollout is one attempt to put a release in force.
type Rollout struct {
	ID          uint64        `json:"id"`
	Release     uint64        `json:"release"`
	Epoch       uint64        `json:"epoch"` // that it has put in force; 0 = none
	Phase       string        `json:"phase"`
	Who         string        `json:"who"`
	Why         string        `json:"why"`
	Begun       time.Time     `json:"begun"`
	Frozen      time.Time     `json:"frozen,omitzero"` // since when all nodes hold requests for it, or when they began to
	Switched    time.Time     `json:"switched,omitzero"`
	Ended       time.Time     `json:"ended,omitzero"`
	Percent     uint64        `json:"percent,omitempty"`     // of the clients, for whom it is; 0 = all, or nodes
	Unconfirmed []string      `json:"unconfirmed,omitempty"` // nodes that were not heard before the switch
	By          string        `json:"by,omitempty"`          // who has ended it before it was done
	Reason      string        `json:"reason,omitempty"`      // and why
	Nodes       []RolloutNode `json:"nodes,omitempty"`
	Awaited     string        `json:"awaited,omitempty"` // what is waited for while nodes cannot be reached
}

// RolloutNode is how far a node is.
type RolloutNode struct {
	Node        string `json:"node"`
	Step        string `json:"step"`
	Have        uint64 `json:"have"` // bytes of the content
	Size        uint64 `json:"size"`
	Unreachable bool   `json:"unreachable,omitempty"`
	Refused     string `json:"refused,omitempty"`
}

// ReleaseResult is what has become of a change.
type ReleaseResult struct {
	Epoch   uint64   `json:"epoch"` // in force
	Release uint64   `json:"release"`
	Rollout uint64   `json:"rollout"` // 0 = nothing had to be changed, or the release is kept for later
	Restart []string `json:"restart"` // fields for which programs have to be started again

	Before      uint64   `json:"before"`                // the release that a rollback leads to; 0 = there is none
	Unconfirmed []string `json:"unconfirmed,omitempty"` // nodes that were not heard, and have not got it yet

	Preview *ReleasePreviewed `json:"preview,omitempty"`

	Changes *ReleaseChanges `json:"changes,omitempty"` // of a dry run: what would be another than in force
}

// ReleasePreviewed is by what a release can be seen before it is in force.
type ReleasePreviewed struct {
	Token string    `json:"token"`
	Query string    `json:"query"` // for the URL of any page of the site, on any node: name=token
	Until time.Time `json:"until"`
	Nodes []string  `json:"nodes"` // URLs of the nodes, as far as they are known
}

// MaxChanges is how many files of each kind a ReleaseChanges names.
const MaxChanges = 1000

// ReleaseChanges is how a release differs from what is in force.
type ReleaseChanges struct {
	Added   []string           `json:"added"` // files of the content, sorted
	Changed []string           `json:"changed"`
	Removed []string           `json:"removed"`
	More    int                `json:"more"` // files that are not named
	Fields  []ConfigDifference `json:"fields"`
}

// Kinds of errors about releases.
const (
	KindInvalid   = "invalid"   // the request itself is wrong
	KindConflict  = "conflict"  // something else is in force than whoever asks has seen
	KindOverwrite = "overwrite" // changes of the configuration would be undone
	KindBusy      = "busy"      // another rollout, or a canary, is in progress
	KindRefused   = "refused"   // a node refuses; nothing has changed
	KindReturned  = "returned"  // it was taken back after the switch
	KindMissing   = "missing"   // no such epoch, release or rollout
	KindNoQuorum  = "no_quorum" // nothing was done for want of a leader
	KindUncertain = "uncertain" // it may or may not have been done
	KindStopping  = "stopping"  // nothing was done, since the node that was asked stops
	KindFailed    = "failed"    // anything else; nothing has changed
)

// ReleaseError is why something was not done.
type ReleaseError struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Error implements error.
func (e *ReleaseError) Error() string { return e.Text }

// Releases is all that a node knows of releases.
type Releases struct {
	Node     string        `json:"node"` // that answers
	Epochs   []ConfigEpoch `json:"epochs"`
	Releases []Release     `json:"releases"`
	Rollouts []Rollout     `json:"rollouts"`
	Canary   *Canary       `json:"canary,omitempty"`
	Restarts []NodeRestart `json:"restarts"` // that are due
	Drafts   []NodeDraft   `json:"drafts"`   // farmctl fills them in: it asks the staging nodes
}

// NodeDraft is how a staging node stands to its folder.
type NodeDraft struct {
	Node string `json:"node"`
	Draft
}

// NodeRestart is a node that has to be restarted for what is in force.
type NodeRestart struct {
	Node    string `json:"node"`
	Rollout uint64 `json:"rollout"` // that has changed what needs it; 0 = unknown
	How     string `json:"how"`     // rolling, simultaneous or manual
}

// Release is configuration and content together.
type Release struct {
	ID        uint64    `json:"id"`
	Revision  uint64    `json:"revision"`
	Root      string    `json:"root"` // of the content; "" = none
	Files     uint64    `json:"files"`
	Size      uint64    `json:"size"`
	Program   string    `json:"program"`   // lowest version of the program; "" = any
	Publisher string    `json:"publisher"` // the ID of the credential
	Who       string    `json:"who"`       // as he said himself
	Why       string    `json:"why"`
	Time      time.Time `json:"time"`
	Rejected  string    `json:"rejected"` // why its last rollout failed; "" = it did not

	// Credential is the name of that by which it was published; "" = it was made by somebody with the farm's secret.
	Credential string `json:"credential,omitempty"`
}

// Canary is a release that some nodes show before the others, or all nodes to a share of the clients.
type Canary struct {
	Rollout uint64   `json:"rollout"`
	Release uint64   `json:"release"`
	Nodes   []string `json:"nodes"`             // empty = it is for a share of the clients
	Percent uint64   `json:"percent,omitempty"` // of the clients
}
