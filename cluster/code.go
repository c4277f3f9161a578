package cluster

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// What a node may answer, beside what package fault says.
var (
	errMalformed    = errors.New("malformed bytes")
	errNameTaken    = errors.New("the farm has a live node of this name already")
	errOtherFarm    = errors.New("this node belongs to another farm")
	errOtherKind    = errors.New("the farm keeps its state in another way: every node needs a data directory, or none may have one")
	errMachine      = errors.New("a state machine panicked")
	errHeldBack     = errors.New("not all members speak a higher protocol level")
	errDiverged     = errors.New("copies of the farm's state differ: a state machine is not deterministic, or the nodes run different programs")
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
	codeUncertain:    fault.ErrUncertain,
	codeClosed:       fault.ErrClosed,
	codeTooLarge:     fault.ErrTooLarge,
	codeNoLeader:     fault.ErrNoLeader,
	codeUnregistered: errUnregistered,
	codeStale:        errStale,
	codeSetBack:      errSetBack,
	codeNameTaken:    errNameTaken,
	codeOtherFarm:    errOtherFarm,
	codeOtherKind:    errOtherKind,
	codeVersion:      fault.ErrVersion,
	codeNoMachine:    errNoMachine,
	codeMalformed:    errMalformed,
	codeNotMe:        errNotMe,
	codeOtherExpect:  errOtherExpect,
	codePromised:     errPromised,
	codeHeldBack:     errHeldBack,
	codeHasQuorum:    errHasQuorum,
	codeNotReformed:  errNotReformed,
	codeLevel:        fault.ErrLevel,
	codeDiverged:     errDiverged,
	codeMachine:      errMachine,
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
