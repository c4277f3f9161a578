package swarm

import (
	"context"
	"fmt"
	"time"

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
	if err := j.room(); err != nil {
		return err
	}
	err := j.run(ctx)
	if e := f.config.Store.Durable(j.present()...); e != nil && (err == nil || !isLocal(err)) {
		err = e
	}
	j.report(true)
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

const (
	window      = 4096 // blobs about which the peers are asked at once
	mostSlots   = 64   // peers of one Fetch
	mostParts   = 32   // blobs of which a part is kept until another peer goes on
	insistAfter = 2 * time.Second
	tick        = 25 * time.Millisecond
	soonest     = 50 * time.Millisecond // between two questions to a peer
	latest      = time.Second
	reportEvery = 100 * time.Millisecond
	longestWait = 20       // times the patience, for peers that say that they will send it
	longestHope = 20       // times what one waits before one insists: longer than a peer can be busy (turnSlow)
	worthwhile  = 64 << 10 // bytes of a part that count as something that has come
)
