package swarm

import "github.com/seed48eb2e21/webfarm/configsync/blob"

// mostParts is how many blobs there are of which a part is kept until another peer goes on, at most.
const mostParts = 32

// parts counts the blobs that have come in part. The parts are with the items.
type parts struct {
	kept int
	lost func(bytes int64) // is told of what is thrown away
}

// keep holds on to what has come of a blob, for somebody to go on with.
func (p *parts) keep(it *item, part *blob.Writer) {
	if part == nil {
		it.from = 0
		return
	}
	it.part = part
	p.kept++
	if it.whole || p.kept > mostParts {
		p.forget(it)
	}
}

// take returns what has come of a blob, for somebody to go on with now; nil for nothing.
func (p *parts) take(it *item) *blob.Writer {
	part := it.part
	if part != nil {
		it.part = nil
		p.kept--
	}
	return part
}

// forget throws away what has come of a blob.
func (p *parts) forget(it *item) {
	part := p.take(it)
	if part == nil {
		return
	}
	if !it.done {
		p.lost(part.Len())
	}
	part.Discard()
	it.from = 0
}
