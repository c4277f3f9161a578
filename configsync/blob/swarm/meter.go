package swarm

import (
	"sync/atomic"
	"time"
)

// Progress says how far a Fetch is. What was in the store before counts as done.
type Progress struct {
	Blobs, TotalBlobs int   // each once
	Bytes, TotalBytes int64 // Bytes also counts what has come of blobs that are not whole yet
}

const reportEvery = 100 * time.Millisecond

// meter tells the caller of a Fetch how far it is. Bytes are counted by the goroutines of transfers.
type meter struct {
	progress func(Progress) // nil = nobody wants to know
	come     atomic.Int64   // bytes that have come
	told     time.Time
}

// count takes in bytes that have come, or were thrown away.
func (m *meter) count(n int64) { m.come.Add(n) }

// report tells how far it is, if it is time to, or last.
func (m *meter) report(l *lacking, last bool) {
	if m.progress == nil || !last && time.Since(m.told) < reportEvery {
		return
	}
	m.told = time.Now()
	m.progress(Progress{Blobs: l.done, TotalBlobs: len(l.refs), Bytes: l.before + m.come.Load(),
		TotalBytes: l.total})
}
