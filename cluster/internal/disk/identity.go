package disk

import (
	"errors"
	"maps"
	"slices"
)

// Identity is who a node is, over all its starts.
type Identity struct {
	NodeID      string // random, made once
	Incarnation string // one memory of votes and log; a new one whenever that was lost or discarded
	Boot        uint64 // number of starts; one that went back tells of a restored copy of the directory
	ClusterID   string // of the farm whose log this is; "" = none yet
	Founding    bool   // ClusterID was made here, for a farm that this node founds
}

// Identity reads the node's identity; false if none was ever saved. An error, a damaged file above all, must
// end the start: a node that made itself a new identity here would forget its votes.
func (d *Dir) Identity() (Identity, bool, error) {
	var id Identity
	found, err := d.load(identityFile, &id)
	if err == nil && found {
		err = id.validate()
	}
	if err != nil {
		return Identity{}, false, err
	}
	return id, found, nil
}

// SaveIdentity replaces the identity. When it returns without error, that has reached the disk.
func (d *Dir) SaveIdentity(id Identity) error {
	if err := id.validate(); err != nil {
		return err
	}
	return d.save(identityFile, id)
}

func (id Identity) validate() error {
	if id.NodeID == "" || id.Incarnation == "" {
		return errors.New("an identity needs a NodeID and an Incarnation")
	}
	return nil
}

// Peers is where others were last seen: hints for the next start, nothing more.
type Peers struct {
	Servers map[string][]string // addresses by Raft server ID
	// addresses of any others; nobody saves any, but files have the field, and it must be read
	Known []string
}

// Peers reads the saved peers. If the file is missing they are empty; if it cannot be read they are empty
// too, and the error is for the log.
func (d *Dir) Peers() (Peers, error) {
	var p Peers
	if _, err := d.load(peersFile, &p); err != nil {
		return Peers{}, err
	}
	return p, nil
}

// SavePeers replaces the saved peers.
func (d *Dir) SavePeers(p Peers) error { return d.save(peersFile, p) }

// Equal says whether p and q are the same, so that nothing needs saving.
func (p Peers) Equal(q Peers) bool {
	return maps.EqualFunc(p.Servers, q.Servers, slices.Equal) && slices.Equal(p.Known, q.Known)
}
