// Package state is the replicated state of locks and jobs: who holds which lock and who waits for it, which
// migrations are done, when each job is due, and who runs it.
//
// An owner is one run of one node's program. It holds leases: locks, and runs of jobs. A lease goes from one
// owner to the next by a command in the log and in no other way: the holder releases it, or the holder's end
// is put into the log (End), or somebody raised a suspicion, waited, and the holder has not refuted it
// (Expire). Nothing here depends on a clock but the times of ticks, which are compared with the log's.
package state
