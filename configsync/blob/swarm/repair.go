package swarm

import (
	"context"
	"time"
)

// repairEvery is how soon Repair tries again.
const repairEvery = time.Minute

// Repair brings back what the store turns out to have lost, until ctx ends: damaged blobs, and files that
// somebody has removed. What cannot be brought back is tried again every minute; failed, if any, is told why
// not.
func (f *Fetcher) Repair(ctx context.Context, failed func(error)) {
	again := time.NewTicker(repairEvery)
	defer again.Stop()
	for {
		if lost := f.config.Store.Lost(); len(lost) > 0 {
			if err := f.Fetch(ctx, lost, nil); err != nil && ctx.Err() == nil && failed != nil {
				failed(err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-f.config.Store.Loss():
		case <-again.C:
		}
	}
}
