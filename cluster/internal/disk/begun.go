package disk

// begun says that a log has begun. It has a file of its own because programs that do not know it must still
// read the others.
type begun struct {
	Server string // Raft server ID of the incarnation whose log it is
}

// Begun returns the Raft server ID that SaveBegun saved last; "" if there is none, as in a directory of an
// older program.
func (d *Dir) Begun() (server string, err error) {
	var b begun
	if _, err := d.load(begunFile, &b); err != nil {
		return "", err
	}
	return b.Server, nil
}

// SaveBegun writes down that the log of an incarnation has begun, unless the file says so. When it returns
// without error, that has reached the disk.
func (d *Dir) SaveBegun(server string) error {
	if was, err := d.Begun(); err == nil && was == server {
		return nil
	}
	return d.save(begunFile, begun{server})
}
