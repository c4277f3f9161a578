package lane

// Mark says that the handler is about to change what must not be changed twice, such as a session. It returns
// once the dialler knows: from then on the request is not given to another peer if this one is lost, whatever
// its method. An error says that the dialler may not know; then nothing must be changed. Where the dialler
// does not ask (Facts.Marks), and after the first time, it costs nothing.
func (w *Writer) Mark() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.x == nil || !w.x.facts.Marks || w.marked {
		return nil
	}
	if err := w.x.send(kMark, 0, newFrame(nil)); err != nil {
		return err
	}
	if err := w.x.body.waitMarked(); err != nil {
		return err
	}
	w.marked = true
	return nil
}

// waitMarked reads the dialler's answer. It is the only frame that can come: a request with Facts.Marks has
// come whole.
func (b *body) waitMarked() error {
	b.x.rmu.Lock()
	defer b.x.rmu.Unlock()
	if b.x.stale {
		return errCanceled
	}
	f, err := b.x.c.next()
	for err == nil && f.id != b.x.seq && f.kind != kReq {
		f, err = b.x.c.next() // of an exchange that was given up
	}
	switch {
	case err != nil:
		return err
	case f.kind == kReset:
		return errCanceled
	case f.kind != kMarked:
		err := malformed("exchange: " + f.kind.String() + " in place of MARKED")
		b.x.cut(err)
		return err
	}
	return nil
}
