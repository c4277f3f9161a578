package blob

import (
	"context"
	"errors"
	"path"
)

// deadShare is the share of a pack's bytes that may be of no use before it is written anew: one in so many.
const deadShare = 4

// reclaim removes the packs of which nothing is left, and writes those anew that waste much. It returns how many bytes
// became free.
func (s *Store) reclaim(ctx context.Context) (freed int64, err error) {
	s.repacking.Lock()
	defer s.repacking.Unlock()
	var errs []error
	for p, blobs := range s.wasteful() {
		if context.Cause(ctx) != nil || len(errs) == 3 {
			break
		}
		n, err := s.repack(p, blobs)
		freed += n
		if err != nil {
			errs = append(errs, err)
		}
	}
	return freed, errors.Join(errs...)
}

// wasteful returns the packs that are to be removed or written anew, with what they have of use.
func (s *Store) wasteful() map[*pack][]Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	packs := map[*pack][]Hash{}
	tight := s.config.Quota > 0 && s.used > s.config.Quota-s.config.Quota/deadShare
	for p := range s.known {
		some := p.dead > 0 && (tight || p.dead >= p.bytes/deadShare)
		if !p.temp && (p.live == 0 || p.damaged || some) {
			packs[p] = nil
		}
	}
	if len(packs) == 0 {
		return nil
	}
	for h, e := range s.index {
		if blobs, found := packs[e.pack]; found {
			packs[e.pack] = append(blobs, h)
		}
	}
	return packs
}

// repack writes what is of use in a pack into another one, if there is any, and removes the pack.
func (s *Store) repack(p *pack, blobs []Hash) (freed int64, err error) {
	written := int64(0)
	if len(blobs) > 0 {
		if written, err = s.copyPack(p, blobs); err != nil {
			return 0, err
		}
	}
	removed, err := s.removePack(p)
	return removed - written, err
}

// copyPack copies blobs of a pack to another one, durably, and returns how many bytes they have.
func (s *Store) copyPack(p *pack, blobs []Hash) (written int64, err error) {
	w, to, err := s.beginPack()
	if err != nil {
		return 0, err
	}
	copied, err := s.copyBlobs(w, blobs)
	var name Hash
	if err == nil {
		name, err = s.lastPack(w)
	}
	if err == nil {
		err = s.namePack(to, path.Join(packDir, name.String()))
	}
	if err == nil {
		err = s.syncDir(packDir)
	}
	if err != nil {
		s.dropPack(to)
		return 0, err
	}
	return s.move(p, to, copied), nil
}

// copied is a blob, and where it was copied to.
type copied struct {
	Ref
	at int64
}

// copyBlobs copies blobs, each of which is read and verified. What is damaged is not copied.
func (s *Store) copyBlobs(w *packWriter, blobs []Hash) (all []copied, err error) {
	for _, h := range blobs {
		b, err := s.readAgain(h)
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrCorrupt) {
			continue
		}
		if err == nil {
			err = s.before("write")
		}
		if err == nil {
			err = w.write(b)
		}
		if err != nil {
			return nil, err
		}
		size := int64(len(b))
		all = append(all, copied{Ref{h, size}, w.add(h, size)})
	}
	return all, nil
}

// readAgain reads a blob and verifies it, whether that was done before or not.
func (s *Store) readAgain(h Hash) ([]byte, error) {
	if err := s.Verify(h); err != nil {
		return nil, err
	}
	f, size, err := s.open(h, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		return b, nil
	}
	return nil, err
}

// move has the index have blobs where they were copied to, and returns how many bytes were copied. Those that are not
// any more where they were are of no use where they were copied to.
func (s *Store) move(from, to *pack, all []copied) (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range all {
		to.bytes += c.Size
		e := s.index[c.Hash]
		if e == nil || e.pack != from {
			to.dead += c.Size
			continue
		}
		moved := *e
		moved.pack, moved.at = to, c.at
		s.index[c.Hash] = &moved
		to.live++
		from.live--
		from.dead += c.Size
	}
	s.used += to.bytes
	return to.bytes
}

// removePack removes a pack of which nothing is of use, and returns how many bytes it had.
func (s *Store) removePack(p *pack) (freed int64, err error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	used := p.live > 0 || s.closed
	s.mu.Unlock()
	if used {
		return 0, nil
	}
	if err := s.before("sweep"); err != nil {
		return 0, err
	}
	if err := s.root.Remove(p.name); err != nil && !isGone(err) {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= p.bytes
	s.removeLocked(p)
	return p.bytes, nil
}
