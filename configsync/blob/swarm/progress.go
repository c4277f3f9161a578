package swarm

import (
	"time"
)

// Progress says how far a Fetch is. What was in the store before counts as done.
type Progress struct {
	Blobs, TotalBlobs int   // each once
	Bytes, TotalBytes int64 // Bytes also counts what has come of blobs that are not whole yet
}

// count takes in bytes, by the goroutines of transfers.
func (j *job) count(n int64) { j.come.Add(n) }

// report tells the caller how far it is.
func (j *job) report(last bool) {
	if j.progress == nil || !last && time.Since(j.told) < reportEvery {
		return
	}
	j.told = time.Now()
	p := Progress{Blobs: j.done, TotalBlobs: len(j.refs), Bytes: j.before + j.come.Load(),
		TotalBytes: j.total}
	j.progress(p)
}
