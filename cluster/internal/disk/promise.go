package disk

// Promise is a node's word, given while a farm that lost its quorum is recovered, to follow one server and to
// vote no more. It binds the incarnation that gave it; the zero Promise is none.
type Promise struct {
	ClusterID string // of the farm that is recovered
	Server    string // Raft server ID that has promised
	To        string // Raft server ID that may go on with the farm
}

// Promise reads the saved promise; the zero one if there is none. An error must end the start: a node that
// took a damaged promise for none would vote again.
func (d *Dir) Promise() (Promise, error) {
	var p Promise
	if _, err := d.load(promiseFile, &p); err != nil {
		return Promise{}, err
	}
	return p, nil
}

// SavePromise replaces the promise. When it returns without error, that has reached the disk.
func (d *Dir) SavePromise(p Promise) error {
	if p == (Promise{}) {
		if there, err := d.Has(promiseFile); err != nil || !there {
			return err
		}
	}
	return d.save(promiseFile, p)
}
