// Package order has the words by which an operator's tool and the program of a node understand each other:
// farmctl knows nothing of what makes a node, and a node nothing of farmctl. Those about jobs, locks and figures
// are in package program.
package order

// What an operator may want of a program, as cluster/admin.Client.Order takes it.
const (
	Drain   = "drain"   // take no requests, until Undrain
	Undrain = "undrain" // serve again
	Restart = "restart" // drain, and end so that a supervisor starts the program again
)

// Gate is the tag by which a node says how far it is, and these are its values. Without the tag it has not
// been ready yet.
const (
	Gate     = "gate"
	Ready    = "ready"
	Draining = "draining"
	Drained  = "drained" // draining, and nothing is left to wait for
)

// How nodes are restarted after a change of fields that need that.
const (
	RestartRolling      = "rolling"      // one after the other
	RestartSimultaneous = "simultaneous" // all at once
	RestartManual       = "manual"       // by an operator
)

// ExitRestart is the exit code of a program that is to be started again: EX_TEMPFAIL of sysexits(3).
const ExitRestart = 75
