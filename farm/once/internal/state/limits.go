package state

// What one machine holds is bounded, so that a program that makes up names for ever is told so, and not the
// farm's memory.
const (
	MaxName    = 256     // bytes of a name
	MaxText    = 1024    // bytes of a note: an error, a node's name
	MaxOwners  = 1000    // runs of programs
	MaxLocks   = 100_000 // held at a time
	MaxTickets = 10_000  // of one owner, held or waiting: they end with it, in one step
	MaxQueue   = 100_000 // tickets that wait for one lock
	MaxDone    = 100_000 // migrations
	MaxJobs    = 10_000
	MaxBacklog = 1000 // ticks of one job that wait for their run
	MaxRuns    = 1000 // of one job at a time
	MaxTicks   = 1000 // ticks that one claim names
	MaxResults = 10   // results of one job that are kept
)
