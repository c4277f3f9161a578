package disk

// Label says whose a data directory is, in what people give: it is read before anything in the directory is
// changed. It has a file of its own because programs that do not know it must still read the others. The zero
// Label is none.
type Label struct {
	Farm string // name of the farm
	Addr string // peer address at which its node was reached last, host:port
}

// Label reads the label; the zero one if there is none, as in a directory of an older program.
func (d *Dir) Label() (Label, error) {
	var l Label
	if _, err := d.load(labelFile, &l); err != nil {
		return Label{}, err
	}
	return l, nil
}

// SaveLabel replaces the label, unless it is the same.
func (d *Dir) SaveLabel(l Label) error {
	if was, err := d.Label(); err == nil && was == l {
		return nil
	}
	return d.save(labelFile, l)
}
