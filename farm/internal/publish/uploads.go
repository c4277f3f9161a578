package publish

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// uploads are those that are under way.
type uploads struct {
	node string
	idle time.Duration

	mu sync.Mutex
	of map[string]*upload // by ID; guarded by mu
}

// upload is one of them.
type upload struct {
	id     string
	signed credential.Signed
	config map[string]string
	epoch  uint64 // that must be in force

	users int       // requests; guarded by uploads.mu
	used  time.Time // when the last one ended; guarded by uploads.mu

	mu       sync.Mutex
	manifest *content.Manifest   // guarded by mu
	sizes    map[blob.Hash]int64 // of what the manifest names; guarded by mu
	streams  int                 // guarded by mu
}

// begin returns the upload of an order: the one that there is, if it was begun before.
func (us *uploads) begin(s credential.Signed, config map[string]string, epoch uint64) (*upload, error) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.expireLocked(us.idle)
	for _, u := range us.of {
		if slices.Equal(u.signed.Seal, s.Seal) {
			u.users++
			return u, nil
		}
	}
	if len(us.of) >= MaxUploads {
		us.expireLocked(time.Minute)
	}
	if len(us.of) >= MaxUploads {
		return nil, errorf(order.KindOverloaded, "%d publications are under way at this node, and it takes "+
			"no more at a time: try "+
			"again when one has ended", MaxUploads)
	}
	u := &upload{id: us.node + "." + rand.Text(), signed: s, config: config, epoch: epoch, users: 1}
	us.of[u.id] = u
	return u, nil
}

// expireLocked forgets uploads that nobody has gone on with for so long.
func (us *uploads) expireLocked(idle time.Duration) {
	for id, u := range us.of {
		if u.users == 0 && time.Since(u.used) > idle {
			delete(us.of, id)
		}
	}
}

// take returns an upload for a request; release it.
func (us *uploads) take(id string) (*upload, error) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.expireLocked(us.idle)
	u := us.of[id]
	if u == nil {
		return nil, errorf(order.KindNoUpload, "this node knows no upload %.80q: it was not gone on with for "+
			"too long, or the "+
			"node was restarted; begin again, and what was sent is not sent again", id)
	}
	u.users++
	return u, nil
}

func (us *uploads) release(u *upload) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u.users--
	u.used = time.Now()
}

func (us *uploads) drop(id string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	delete(us.of, id)
}

func (us *uploads) keeps(h blob.Hash) bool {
	us.mu.Lock()
	all := make([]*upload, 0, MaxUploads)
	for _, u := range us.of {
		all = append(all, u)
	}
	us.mu.Unlock()
	return slices.ContainsFunc(all, func(u *upload) bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		_, named := u.sizes[h]
		return named || u.signed.Root == h
	})
}

func (u *upload) setContent(m *content.Manifest) {
	sizes := map[blob.Hash]int64{}
	if m != nil {
		for _, ref := range m.Refs() {
			sizes[ref.Hash] = ref.Size
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.manifest, u.sizes = m, sizes
}

func (u *upload) content() *content.Manifest {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.manifest
}

// refs returns all that the manifest names; nothing while it has not come.
func (u *upload) refs() []blob.Ref {
	if m := u.content(); m != nil {
		return m.Refs()
	}
	return nil
}

// size returns the size that a blob of the content has; false if it is none.
func (u *upload) size(h blob.Hash) (int64, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, ok := u.sizes[h]
	return n, ok
}

// stream begins a stream of blobs; false if there are as many as may be.
func (u *upload) stream() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.streams >= maxStreams {
		return false
	}
	u.streams++
	return true
}

func (u *upload) endStream() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.streams--
}
