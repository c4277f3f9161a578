package program

import (
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once"
)

// What an operator may ask of a farm, by way of any node's program, as cluster/admin.Client.Ask takes it.
// Each has one word more.
const (
	Jobs      = "jobs"       // the name of the last job that was told, "" at first -> JobList
	Job       = "job"        // its name -> JobList of that one, with all results
	Locks     = "locks"      // "kind/name" of the last that was told, "" at first -> LockList
	RunJob    = "run-job"    // its name: run it now
	PauseJob  = "pause-job"  // its name: skip its times
	ResumeJob = "resume-job" // its name: take that back
	ForgetJob = "forget-job" // its name: nobody registers it any more

	Migrations      = "migrations"       // the name of the last that was told, "" at first -> MigrationList
	ForgetMigration = "forget-migration" // its name: run it again
)

// JobList is a part of the farm's jobs, by name.
type JobList struct {
	At    time.Time  `json:"at"`    // by the clock of the node that answers
	Stale bool       `json:"stale"` // no leader answers: this is what the node knew last
	Jobs  []once.Job `json:"jobs"`
	More  bool       `json:"more"` // there are others
}

// MigrationList is a part of the migrations that have succeeded, by name.
type MigrationList struct {
	At         time.Time        `json:"at"`
	Stale      bool             `json:"stale"`
	Migrations []once.Migration `json:"migrations"`
	More       bool             `json:"more"`
}

// LockList is a part of what is held in the farm, by kind and name.
type LockList struct {
	At    time.Time   `json:"at"`
	Stale bool        `json:"stale"`
	Locks []once.Held `json:"locks"`
	More  bool        `json:"more"`
}
