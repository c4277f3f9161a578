package wire

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// What a node may answer, beside what package fault says.
var (
	ErrMalformed = errors.New("malformed bytes")
	ErrNameTaken = errors.New("the farm has a live node of this name already")
	ErrOtherFarm = errors.New("this node belongs to another farm")
	ErrOtherKind = errors.New("the farm keeps its state in another way: every node needs a data " +
		"directory, or none may have one")
	ErrMachine  = errors.New("a state machine panicked")
	ErrHeldBack = errors.New("not all members speak a higher protocol level")
	ErrDiverged = errors.New("copies of the farm's state differ: a state machine is not deterministic, " +
		"or the nodes run different programs")
	ErrNotLeader    = errors.New("not the leader")
	ErrUnregistered = errors.New("origin not registered")
	ErrStale        = errors.New("batch was given up by its origin")
	ErrSetBack      = errors.New("the data directory is older than what the farm has seen of this node: a " +
		"restored disk")
	ErrInternal    = errors.New("the other node failed to answer")
	ErrNotMe       = errors.New("another incarnation was called")
	ErrOtherExpect = errors.New("another number of founders is expected")
	ErrWordGiven   = errors.New("another node has a pledge, a promise or a claim of this one")
	ErrHasQuorum   = errors.New("a quorum of the farm may still run")
	ErrNotReformed = errors.New("the farm cannot be re-formed now")
	ErrNoMachine   = errors.New("no such state machine")
)

// Code is an error as it crosses the network and as it stands in the log.
type Code byte

const (
	CodeOK           Code = 0
	CodeNotLeader    Code = 1
	CodeUncertain    Code = 2
	CodeClosed       Code = 3
	CodeTooLarge     Code = 4
	CodeNoLeader     Code = 5
	CodeUnregistered Code = 6
	CodeStale        Code = 7
	CodeSetBack      Code = 8
	CodeNameTaken    Code = 9
	CodeOtherFarm    Code = 10
	CodeOtherKind    Code = 11
	CodeVersion      Code = 12
	CodeNoMachine    Code = 13
	CodeMalformed    Code = 14
	CodeNotMe        Code = 15
	CodeOtherExpect  Code = 16
	CodeWordGiven    Code = 17
	CodeHeldBack     Code = 18
	CodeHasQuorum    Code = 19
	CodeNotReformed  Code = 20
	CodeLevel        Code = 21
	CodeDiverged     Code = 22
	CodeMachine      Code = 23
	CodeOverloaded   Code = 24
	CodeInternal     Code = 255
)

// codes is the one table between codes and errors; nil where there is no such code.
var codes = [...]error{
	CodeNotLeader:    ErrNotLeader,
	CodeUncertain:    fault.ErrUncertain,
	CodeClosed:       fault.ErrClosed,
	CodeTooLarge:     fault.ErrTooLarge,
	CodeNoLeader:     fault.ErrNoLeader,
	CodeUnregistered: ErrUnregistered,
	CodeStale:        ErrStale,
	CodeSetBack:      ErrSetBack,
	CodeNameTaken:    ErrNameTaken,
	CodeOtherFarm:    ErrOtherFarm,
	CodeOtherKind:    ErrOtherKind,
	CodeVersion:      fault.ErrVersion,
	CodeNoMachine:    ErrNoMachine,
	CodeMalformed:    ErrMalformed,
	CodeNotMe:        ErrNotMe,
	CodeOtherExpect:  ErrOtherExpect,
	CodeWordGiven:    ErrWordGiven,
	CodeHeldBack:     ErrHeldBack,
	CodeHasQuorum:    ErrHasQuorum,
	CodeNotReformed:  ErrNotReformed,
	CodeLevel:        fault.ErrLevel,
	CodeDiverged:     ErrDiverged,
	CodeMachine:      ErrMachine,
	CodeOverloaded:   fault.ErrOverloaded,
	CodeInternal:     ErrInternal,
}

// CodeOf returns the code of err: of several that it wraps the lowest, CodeInternal for an error the table
// does not have.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	for c, e := range codes {
		if e != nil && errors.Is(err, e) {
			return Code(c)
		}
	}
	return CodeInternal
}

// Err returns the error that c stands for; a code of a newer version is an internal error.
func (c Code) Err() error {
	if c == CodeOK {
		return nil
	}
	if err := codes[c]; err != nil {
		return err
	}
	return ErrInternal
}
