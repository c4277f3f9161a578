package swarm

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Fetch returns nil when the store has all of refs, durably. It asks the peers that are present which blobs
// they have, takes those first that few of them have, and goes on with another peer, and in the middle of a
// blob, where one fails. It asks again and again, peers that come meanwhile, too, and gives up when nothing
// has come for FetcherConfig.Patience. What has come until then stays in the store.
//
// progress, if any, is called by the goroutine of the caller, ten times a second at most and once at the end.
//
// Errors: UnavailableError, which is ErrUnavailable; ErrNoRoom before anything is asked for if there is no
// room for what is lacking; those of ctx and of the disk.
func (f *Fetcher) Fetch(ctx context.Context, refs []blob.Ref, progress func(Progress)) error {
	if err := checkRefs(refs); err != nil {
		return err
	}
	j := newJob(f, refs, progress)
	if err := j.lacking.room(); err != nil {
		return err
	}
	err := j.run(ctx)
	if e := f.config.Store.Durable(j.lacking.present()...); e != nil && (err == nil || !isLocal(err)) {
		err = e
	}
	j.meter.report(&j.lacking, true)
	return err
}

func checkRefs(refs []blob.Ref) error {
	for _, r := range refs {
		switch {
		case r.Hash.IsZero():
			return fmt.Errorf("swarm: fetch: %w", blob.ErrHash)
		case r.Size < 0:
			return fmt.Errorf("swarm: fetch %v: a size of %d bytes", r.Hash, r.Size)
		case r.Size > blob.MaxSize:
			return fmt.Errorf("%w: %v is to have %d bytes; at most %d",
				blob.ErrTooLarge, r.Hash, r.Size, int64(blob.MaxSize))
		}
	}
	return nil
}
