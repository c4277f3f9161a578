package swarm

// keep holds on to what has come of a blob, for somebody to go on with.
func (j *job) keep(it *item, e event) {
	if e.part == nil {
		it.from = 0
		return
	}
	it.part = e.part
	j.parts++
	if it.whole || j.parts > mostParts || j.failed != nil {
		j.forget(it)
	}
}

// forget throws away what has come of a blob.
func (j *job) forget(it *item) {
	if it.part == nil {
		return
	}
	if !it.done {
		j.f.wasted(it.part.Len())
		j.count(-it.part.Len())
	}
	it.part.Discard()
	it.part, it.from = nil, 0
	j.parts--
}
