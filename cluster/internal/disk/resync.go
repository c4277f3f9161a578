package disk

import "time"

// Resync is when a node's copy of the farm's state was last found to be wrong; the zero Resync is never.
type Resync struct {
	Server string // Raft server ID of the incarnation that had it
	At     time.Time
}

// Resync reads what SaveResync saved; the zero one if there is none.
func (d *Dir) Resync() (Resync, error) {
	var r Resync
	if _, err := d.load(resyncFile, &r); err != nil {
		return Resync{}, err
	}
	return r, nil
}

// SaveResync replaces the saved Resync. When it returns without error, that has reached the disk.
func (d *Dir) SaveResync(r Resync) error { return d.save(resyncFile, r) }
