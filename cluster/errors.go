package cluster

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

var (
	// ErrUncertain says that a write may or may not have happened: the answer did not come before the context
	// ended.
	ErrUncertain = fault.ErrUncertain

	// ErrNoLeader says that no leader has answered; nothing of the request has left this node. The error goes
	// on to say whether one is known.
	ErrNoLeader = fault.ErrNoLeader

	// ErrOverloaded says that more is asked of the farm than it can do in time. The command was refused, and
	// is certainly not done. It may be tried again after a second or so, by fewer callers.
	ErrOverloaded = fault.ErrOverloaded

	// ErrClosed says that the node was closed.
	ErrClosed = fault.ErrClosed

	// ErrTooLarge says that a command is over 512 KiB, a question or its answer over 16 MiB, or a node's tags
	// over what gossip carries.
	ErrTooLarge = fault.ErrTooLarge

	// ErrNameTaken says that another live node of the farm has this node's Name, or a copy of its data
	// directory. Start it under another one.
	ErrNameTaken = wire.ErrNameTaken

	// ErrOtherFarm says that this node belongs to another farm than the one it met, by its data or by the
	// farm's name.
	ErrOtherFarm = wire.ErrOtherFarm

	// ErrOtherKind says that a memory node met a durable farm, or the other way round.
	ErrOtherKind = wire.ErrOtherKind

	// ErrVersion says that the log has something this version of the program does not know. Start a newer
	// one.
	ErrVersion = fault.ErrVersion

	// ErrMachine says that a state machine panicked: a fault of the program, which every node meets at the
	// same entry. This node's copy of the state has stopped there; the log is kept, for a program in which
	// the fault is mended.
	ErrMachine = wire.ErrMachine

	// ErrLevel says that a command, or its state machine, needs a higher protocol level than the one in
	// force; the command was not done. See Config.Levels.
	ErrLevel = fault.ErrLevel

	// ErrHeldBack says that no higher protocol level can be put in force, because some members do not speak
	// it yet.
	ErrHeldBack = wire.ErrHeldBack

	// ErrDiverged says that copies of the farm's state differ, though all applied the same log: a state
	// machine is not deterministic, or the nodes run different programs. A write fails by it if no majority
	// has the same copy, until people have decided which is right. A node ends by it if its copy differed
	// from that of the majority twice within an hour.
	ErrDiverged = wire.ErrDiverged

	// ErrDamaged says that the data directory is not what this node wrote: a file or the log is damaged or
	// missing. The error goes on to say what is damaged.
	ErrDamaged = errors.New("the data directory is damaged: if other nodes of the farm run, move it away " +
		"and start this node " +
		"again, which joins anew; if not, restore a backup")

	errBusy        = errors.New("another restore, or a recovery, is under way")
	errHalfWay     = errors.New("members may have stood down for it meanwhile; try again")
	errFarmChanged = errors.New("the farm has changed meanwhile")
)
