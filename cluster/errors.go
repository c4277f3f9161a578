package cluster

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

var (
	// ErrUncertain says that a write may or may not have happened: the answer did not come before the context ended.
	ErrUncertain = fault.ErrUncertain

	// ErrNoLeader says that no leader has answered; nothing of the request has left this node. The error goes on to say whether
	// one is known.
	ErrNoLeader = fault.ErrNoLeader

	// ErrClosed says that the node was closed.
	ErrClosed = fault.ErrClosed

	// ErrTooLarge says that a command is over 512 KiB, a question or its answer over 16 MiB, or a node's tags over what
	// gossip carries.
	ErrTooLarge = fault.ErrTooLarge

	// ErrNameTaken says that another live node of the farm has this node's Name, or a copy of its data directory. Start
	// it under another one.
	ErrNameTaken = errors.New("the farm has a live node of this name already")

	// ErrOtherFarm says that this node belongs to another farm than the one it met, by its data or by the farm's name.
	ErrOtherFarm = errors.New("this node belongs to another farm")

	// ErrOtherKind says that a memory node met a durable farm, or the other way round.
	ErrOtherKind = errors.New("the farm keeps its state in another way: every node needs a data directory, or none may have one")

	// ErrVersion says that the log has something this version of the program does not know. Start a newer one.
	ErrVersion = fault.ErrVersion

	// ErrMachine says that a state machine panicked: a fault of the program, which every node meets at the same entry. This
	// node's copy of the state has stopped there; the log is kept, for a program in which the fault is mended.
	ErrMachine = errors.New("a state machine panicked")

	// ErrLevel says that a command, or its state machine, needs a higher protocol level than the one in force; the command was
	// not done. See Config.Levels.
	ErrLevel = fault.ErrLevel

	// ErrHeldBack says that no higher protocol level can be put in force, because some members do not speak it yet.
	ErrHeldBack = errors.New("not all members speak a higher protocol level")

	// ErrDiverged says that copies of the farm's state differ, though all applied the same log: a state machine is not
	// deterministic, or the nodes run different programs. A write fails by it if no majority has the same copy, until people
	// have decided which is right. A node ends by it if its copy differed from that of the majority twice within an hour.
	ErrDiverged = errors.New("copies of the farm's state differ: a state machine is not deterministic, or the nodes run different programs")

	// ErrDamaged says that the data directory is not what this node wrote: a file or the log is damaged or missing. The
	// error goes on to say what is damaged.
	ErrDamaged = errors.New("the data directory is damaged: if other nodes of the farm run, move it away and start this node " +
		"again, which joins anew; if not, restore a backup")

	errNotLeader    = errors.New("not the leader")
	errUnregistered = errors.New("origin not registered")
	errStale        = errors.New("batch was given up by its origin")
	errSetBack      = errors.New("the data directory is older than what the farm has seen of this node: a restored disk")
	errInternal     = errors.New("the other node failed to answer")
	errNotMe        = errors.New("another incarnation was called")
	errOtherExpect  = errors.New("another number of founders is expected")
	errPromised     = errors.New("another founder has the promise")
	errHasQuorum    = errors.New("a quorum of the farm may still run")
	errNotReformed  = errors.New("the farm cannot be re-formed now")
	errBusy         = errors.New("another restore, or a recovery, is under way")
	errHalfWay      = errors.New("members may have stood down for it meanwhile; try again")
	errFarmChanged  = errors.New("the farm has changed meanwhile")
	errNoMachine    = errors.New("no such state machine")
)

// code is an error as it crosses the network and as it stands in the log.
type code byte

const (
	codeOK           code = 0
	codeNotLeader    code = 1
	codeUncertain    code = 2
	codeClosed       code = 3
	codeTooLarge     code = 4
	codeNoLeader     code = 5
	codeUnregistered code = 6
	codeStale        code = 7
	codeSetBack      code = 8
	codeNameTaken    code = 9
	codeOtherFarm    code = 10
	codeOtherKind    code = 11
	codeVersion      code = 12
	codeNoMachine    code = 13
	codeMalformed    code = 14
	codeNotMe        code = 15
	codeOtherExpect  code = 16
	codePromised     code = 17
	codeHeldBack     code = 18
	codeHasQuorum    code = 19
	codeNotReformed  code = 20
	codeLevel        code = 21
	codeDiverged     code = 22
	codeMachine      code = 23
	codeInternal     code = 255
)

// codes is the one table between codes and errors; nil where there is no such code.
var codes = [...]error{
	codeNotLeader:    errNotLeader,
	codeUncertain:    ErrUncertain,
	codeClosed:       ErrClosed,
	codeTooLarge:     ErrTooLarge,
	codeNoLeader:     ErrNoLeader,
	codeUnregistered: errUnregistered,
	codeStale:        errStale,
	codeSetBack:      errSetBack,
	codeNameTaken:    ErrNameTaken,
	codeOtherFarm:    ErrOtherFarm,
	codeOtherKind:    ErrOtherKind,
	codeVersion:      ErrVersion,
	codeNoMachine:    errNoMachine,
	codeMalformed:    errMalformed,
	codeNotMe:        errNotMe,
	codeOtherExpect:  errOtherExpect,
	codePromised:     errPromised,
	codeHeldBack:     ErrHeldBack,
	codeHasQuorum:    errHasQuorum,
	codeNotReformed:  errNotReformed,
	codeLevel:        ErrLevel,
	codeDiverged:     ErrDiverged,
	codeMachine:      ErrMachine,
	codeInternal:     errInternal,
}

// codeOf returns the code of err: of several that it wraps the lowest, codeInternal for an error the table does not have.
func codeOf(err error) code {
	if err == nil {
		return codeOK
	}
	for c, e := range codes {
		if e != nil && errors.Is(err, e) {
			return code(c)
		}
	}
	return codeInternal
}

// err returns the error that c stands for; a code of a newer version is an internal error.
func (c code) err() error {
	if c == codeOK {
		return nil
	}
	if err := codes[c]; err != nil {
		return err
	}
	return errInternal
}
