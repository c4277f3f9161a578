package configsync

import (
	"context"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Machine is the replicated state: releases, which of them is in force, and the rollouts that led to that. It
// is a cluster.StateMachine.
type Machine = state.Machine

// NewMachine returns a machine without releases. It sends to changed when it has changed, unless that is full
// or nil: the channel of Settings.Changed, with room for one.
func NewMachine(changed chan<- struct{}) *Machine { return state.NewMachine(changed) }

// CommandLevel returns the protocol level that a farm must work at before a command of the Machine may get
// into its log, and that of the machine itself for nil. A command of a newer program needs the level that
// the newer program says.
func CommandLevel(cmd []byte) int { return state.Level(cmd) }

// Log replicates the commands of a Machine: package cluster's Handle is one. If it has a method ProposeTogether, of
// the form of Propose, the commands that switch are proposed by that: all nodes are to apply them at nearly the same
// moment.
type Log interface {
	// Propose has cmd applied on all nodes, exactly once, and returns when it is on this one, with the
	// machine's answer. With an error, an index above 0 says that cmd was applied, with that answer, and only
	// this node does not have it yet.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Barrier returns when this node's machine has everything acknowledged, anywhere, before the call.
	Barrier(ctx context.Context) error
}

// Epoch is one switch of what is in force. Numbers go up by one. It names a release, and so the revision of
// the files; a rollback is a new epoch with the release of an old one.
type Epoch = state.Epoch

// Release is configuration and content together, with what a node needs to use them. It never changes, but for
// Rejected.
type Release = state.Release

// Content names the content of a release: the hash of its manifest. The zero Content is none.
type Content = state.Content

// Needs says what a node must have to use a release.
type Needs = state.Needs

// Rollout is one attempt to put a release in force.
type Rollout = state.Rollout

// Phase is how far a rollout is.
type Phase = state.Phase

// The phases of a rollout. Those from PhaseDone on are ends.
const (
	PhaseStaging    = state.Staging    // the nodes make themselves ready
	PhaseConfirming = state.Confirming // it was switched; the nodes look whether they are well
	PhaseDone       = state.Done
	PhaseAborted    = state.Aborted  // nothing has changed anywhere
	PhaseReturned   = state.Returned // it was switched, and then back to the release before
)

// Canary is the release that some nodes show before the others, or all nodes to a share of the clients. The zero Canary
// is none.
type Canary = state.Canary

// Plan says how a rollout goes. In the plan of a Rollout the defaults are filled in, and 0 is 0.
//
//   - Unreachable says what to do about members that cannot be reached: Proceed, Fence or Refuse.
//   - Wait is for how long they are waited for before that counts.
//   - MinReady nodes have to be ready at least; 0 = a majority of the members, or all nodes of a canary.
//   - Stage is how long the nodes may take to become ready; 0 = 10 minutes.
//   - Confirm is how long they may take after the switch to find themselves well; 0 = 10 s; negative = they are
//     not asked.
//   - Bake is how long they have to stay well, up to Confirm; 0 = until each was well once.
//   - Nodes are those of a canary, which StartCanary sets, and Percent is its share of the clients, which
//     StartPercentCanary sets; Dry is set by DryRun.
//   - Strict, if it is above 0, has all nodes hold requests for that long at most, so that none is answered from the old
//     release after any was from the new one; if they cannot, nothing changes. All members have to be reached.
//   - Restart says how programs are started again if fields of the class restart have other values: Rolling,
//     Simultaneous or Manual. The Manager says what is due (RestartDue); whoever runs the program does it.
type Plan = state.Plan

// Restarts says how programs are started again for fields of the class restart.
type Restarts = state.Restarts

// How programs can be started again.
const (
	Rolling      = state.Rolling      // one after the other, as long as the farm can do without each
	Simultaneous = state.Simultaneous // all at once
	Manual       = state.Manual       // by whoever operates the farm
)

// Policy says what a rollout does about a member that cannot be reached. In no case does such a member show an
// old release once it is back in touch.
type Policy = state.Policy

// What a rollout can do about a member that cannot be reached.
const (
	Proceed = state.Proceed // go on without it
	Fence   = state.Fence   // wait until it has noticed that it is alone, then go on
	Refuse  = state.Refuse  // change nothing
)
