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
	marked := w.x.body.wantMarked()
	if err := w.x.send(kMark, 0, newFrame(nil)); err != nil {
		return err
	}
	if err := w.x.body.waitMarked(marked); err != nil {
		return err
	}
	w.marked = true
	return nil
}

// wantMarked returns what is closed once the dialler has answered.
func (b *body) wantMarked() <-chan struct{} {
	marked := make(chan struct{})
	if !b.marked.CompareAndSwap(nil, &marked) {
		return *b.marked.Load() // it was asked before, in vain
	}
	return marked
}

// giveMarkedLocked notes that the dialler has answered.
func (b *body) giveMarkedLocked() {
	marked := b.marked.Load()
	if marked == nil {
		return // nobody has asked
	}
	select {
	case <-*marked:
	default:
		close(*marked)
	}
}

// waitMarked waits for the dialler's answer. A Read that is under way in another goroutine may read it, and
// then go on for long.
func (b *body) waitMarked(marked <-chan struct{}) error {
	if b.x.rmu.TryLock() {
		defer b.x.rmu.Unlock()
		return b.readMarkedLocked(marked)
	}
	read := make(chan error, 1)
	go func() {
		b.x.rmu.Lock()
		defer b.x.rmu.Unlock()
		read <- b.readMarkedLocked(marked)
	}()
	select {
	case <-marked:
		return nil
	case err := <-read:
		return err
	}
}

// readMarkedLocked reads up to the dialler's answer. What comes of the body before it is kept for Read.
func (b *body) readMarkedLocked(marked <-chan struct{}) error {
	for {
		select {
		case <-marked:
			return nil
		default:
		}
		if b.x.stale {
			return errCanceled
		}
		err := b.keepDataLocked()
		if err == nil {
			err = b.nextLocked()
		}
		if err != nil {
			if !b.ended {
				b.endLocked(err)
			}
			return err
		}
	}
}

// keepDataLocked keeps what is left of a frame of kind DATA. Facts.Marks is only set where the body is short.
func (b *body) keepDataLocked() error {
	for b.inData {
		p, err := b.x.c.peek()
		if err != nil {
			return err
		}
		if len(p) == 0 {
			return nil
		}
		if len(b.inline)+len(p) > keptMost {
			err := malformed("exchange: a long body in front of MARKED")
			b.x.cut(err)
			return err
		}
		b.inline = append(b.inline, p...)
		b.x.c.skip(len(p))
	}
	return nil
}
