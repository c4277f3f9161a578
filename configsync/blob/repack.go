package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
)

// deadShare is the share of a pack's bytes that may be of no use before it is written anew: one in so many.
const deadShare = 4

// reclaim removes the packs of which nothing is left, and writes those anew that waste much. It returns how many bytes
// became free. The error is of the disk, or of ctx if that ended before all was done.
func (s *Store) reclaim(ctx context.Context) (freed int64, err error) {
	s.repacking.Lock()
	defer s.repacking.Unlock()
	var errs []error
	for _, w := range s.wasteful() {
		if err := context.Cause(ctx); err != nil {
			errs = append(errs, err)
			break
		}
		n, err := s.repack(w.pack, w.blobs)
		freed += n
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) == 3 {
			break
		}
	}
	return freed, errors.Join(errs...)
}

// waste is a pack that is to be removed or written anew.
type waste struct {
	pack  *pack
	blobs []Hash // of use
	bytes int64  // of those
}

// wasteful returns what is to be removed or written anew. That of which the least is left comes first: on a full disk
// it makes room for what has to be copied of the others.
func (s *Store) wasteful() (all []*waste) {
	full := errors.Is(s.diskFor(mostUnsynced, 1), ErrNoRoom) // for a pack more
	s.mu.Lock()
	defer s.mu.Unlock()
	tight := full || s.cramped || s.config.Quota > 0 && s.used > s.config.Quota-s.config.Quota/deadShare
	s.cramped = false
	of := map[*pack]*waste{}
	for p := range s.known {
		some := p.dead > 0 && (tight || p.dead >= p.bytes/deadShare)
		if !p.temp && (p.live == 0 || p.damaged || some) {
			of[p] = &waste{pack: p, bytes: p.bytes - p.dead}
			all = append(all, of[p])
		}
	}
	if len(all) == 0 {
		return nil
	}
	for h, e := range s.index {
		if w := of[e.pack]; w != nil {
			w.blobs = append(w.blobs, h)
		}
	}
	slices.SortFunc(all, func(a, b *waste) int { return cmp.Compare(a.bytes, b.bytes) })
	return all
}

// repack writes what is of use in a pack into another one, if there is any, and removes the pack. It returns how many
// bytes became free, which are none if the pack has to stay.
func (s *Store) repack(p *pack, blobs []Hash) (freed int64, err error) {
	written := int64(0)
	if len(blobs) > 0 {
		if written, err = s.copyPack(p, blobs); err != nil {
			return 0, err
		}
	}
	removed, err := s.removePack(p)
	return max(removed-written, 0), err
}

// copyPack copies blobs of a pack to another one, durably, and returns how many bytes they have.
func (s *Store) copyPack(p *pack, blobs []Hash) (written int64, err error) {
	w, to, err := s.beginPack()
	if err != nil {
		return 0, err
	}
	copied, err := s.copyBlobs(w, p, blobs)
	if err == nil && len(copied) > 0 {
		err = s.nameCopy(w, to)
	}
	if err != nil || len(copied) == 0 {
		s.dropPack(to)
		return 0, err
	}
	return s.move(p, to, copied), nil
}

// nameCopy makes a pack last, and then its name. No Sync happens between that name and its folder's sync: Durable would
// find the folder not synced, though nothing was wrong, and call what is in other packs not durable.
func (s *Store) nameCopy(w *packWriter, to *pack) error {
	name, err := s.lastPack(w)
	if err != nil {
		return err
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.namePack(to, path.Join(packDir, name.String())); err != nil {
		return err
	}
	return s.syncDirs()
}

// copied is a blob, and where it was copied to.
type copied struct {
	Ref
	at int64
}

// copyBlobs copies blobs of a pack, each of which is verified. What is damaged is not copied. If one cannot be read,
// that is an error: it may be read later, as long as the pack stays.
func (s *Store) copyBlobs(w *packWriter, p *pack, blobs []Hash) (all []copied, err error) {
	for _, h := range blobs {
		b, err := s.readAgain(h, p)
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

// readAgain reads a blob that is in a pack, and verifies the bytes that it returns, whether that was done before or
// not. A damaged one is moved aside, and the error is ErrCorrupt. If it is not in the pack any more, it is ErrMissing.
func (s *Store) readAgain(h Hash, p *pack) ([]byte, error) {
	e, at, err := s.findIn(h, p)
	if err != nil {
		return nil, err
	}
	f, err := s.openAt(at)
	if isGone(err) {
		return nil, s.lose(h, e, err)
	}
	if err != nil {
		return nil, s.cannotRead(h, e, err)
	}
	defer f.Close()
	b := make([]byte, e.size)
	n, err := 0, s.before("read")
	if err == nil {
		n, err = f.ReadAt(b, 0)
	}
	if n < len(b) && err != nil && !errors.Is(err, io.EOF) {
		return nil, s.cannotRead(h, e, err)
	}
	if Sum(b) != h { // also when the pack was cut off
		return nil, s.lose(h, e, fmt.Errorf("%w: %v has other bytes, %d of them", ErrCorrupt, h, len(b)))
	}
	return b, nil
}

// findIn is find for a blob that has to be in a pack.
func (s *Store) findIn(h Hash, p *pack) (*entry, place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[h]
	switch {
	case s.closed:
		return nil, place{}, ErrClosed
	case e == nil || e.pack != p:
		return nil, place{}, fmt.Errorf("%w in a pack: %v", ErrMissing, h)
	}
	return e, s.placeLocked(h, e), nil
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
		s.verifiedLocked(c.Hash, e)
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
