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

const (
	deadShare  = 4       // of a pack's bytes may be of no use before it is written anew: one in so many
	smallPack  = 1 << 20 // bytes of use, below which a pack is a small one
	mostSmalls = 16      // small packs that stay apart
)

// reclaim removes the packs of which nothing is left, and writes those anew that waste much, or are small and many. It
// returns how many bytes became free. The error is of the disk, or of ctx if that ended before all was done.
func (s *Store) reclaim(ctx context.Context) (freed int64, err error) {
	s.repacking.Lock()
	defer s.repacking.Unlock()
	full := errors.Is(s.diskFor(mostUnsynced, 1), ErrNoRoom) // for a pack more
	if full {
		s.moving.Lock()
		freed = s.keepAside(0, 0)
		s.moving.Unlock()
	}
	var errs []error
	for _, g := range together(s.wasteful(full), full) {
		if err := context.Cause(ctx); err != nil {
			errs = append(errs, err)
			break
		}
		n, err := s.repackAll(g)
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
	merge bool   // it wastes nothing but is small, so that it is worth nothing to write it anew alone
}

// wasteful returns what is to be removed or written anew. That of which the least is left comes first: on a full disk
// it makes room for what has to be copied of the others.
func (s *Store) wasteful(full bool) (all []*waste) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tight := full || s.cramped || s.config.Quota > 0 && s.used > s.config.Quota-s.config.Quota/deadShare
	s.cramped = false
	of := map[*pack]*waste{}
	var smalls []*waste
	for p := range s.known {
		w := &waste{pack: p, bytes: p.bytes - p.dead}
		some := p.dead > 0 && (tight || p.dead >= p.bytes/deadShare)
		switch {
		case p.temp:
		case p.live == 0 || p.damaged || some:
			all = append(all, w)
		case w.bytes < smallPack:
			w.merge = true
			smalls = append(smalls, w)
		}
	}
	if len(smalls) > mostSmalls && !tight {
		all = append(all, smalls...)
	}
	for _, w := range all {
		of[w.pack] = w
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

// together groups packs whose rest fits into one. On a full disk each is by itself, since it needs the least room so.
func together(all []*waste, full bool) (groups [][]*waste) {
	var g []*waste
	blobs, bytes := 0, int64(0)
	end := func() {
		if len(g) > 1 || len(g) == 1 && !g[0].merge {
			groups = append(groups, g)
		}
		g, blobs, bytes = nil, 0, 0
	}
	for _, w := range all {
		if full || blobs+len(w.blobs) > mostGrouped || bytes+w.bytes > mostUnsynced {
			end()
		}
		g, blobs, bytes = append(g, w), blobs+len(w.blobs), bytes+w.bytes
	}
	end()
	return groups
}

// repackAll writes what is of use in some packs into one, and removes them. If that fails because of one of them, the
// others are written anew all the same: each by itself, and those that are only small by halves.
func (s *Store) repackAll(g []*waste) (freed int64, err error) {
	if freed, err = s.repack(g); err == nil || len(g) == 1 {
		return freed, err
	}
	var parts [][]*waste
	var small []*waste
	for _, w := range g {
		if w.merge {
			small = append(small, w)
		} else {
			parts = append(parts, []*waste{w})
		}
	}
	if len(small) == len(g) {
		parts, small = append(parts, small[:len(small)/2]), small[len(small)/2:]
	}
	if len(small) > 0 {
		parts = append(parts, small)
	}
	var errs []error
	for _, part := range parts {
		if len(part) == 1 && part[0].merge {
			errs = append(errs, err) // it has nobody to be merged with, and may be the one that fails
			continue
		}
		n, err := s.repackAll(part)
		freed += n
		errs = append(errs, err)
	}
	return freed, errors.Join(errs...)
}

// repack writes what is of use in some packs into another one, if there is any, and removes them. It returns how many
// bytes became free, which are none if they have to stay.
func (s *Store) repack(g []*waste) (freed int64, err error) {
	written := int64(0)
	if slices.ContainsFunc(g, func(w *waste) bool { return len(w.blobs) > 0 }) {
		if written, err = s.copyPacks(g); err != nil {
			return 0, err
		}
	}
	for _, w := range g {
		removed, e := s.removePack(w.pack)
		freed += removed
		err = errors.Join(err, e)
	}
	return max(freed-written, 0), err
}

// copyPacks copies blobs of packs to another one, durably, and returns how many bytes they have.
func (s *Store) copyPacks(g []*waste) (written int64, err error) {
	w, to, err := s.beginPack()
	if err != nil {
		return 0, err
	}
	all, rows := make([][]copied, len(g)), 0
	for i := 0; i < len(g) && err == nil; i++ {
		all[i], err = s.copyBlobs(w, g[i].pack, g[i].blobs)
		rows += len(all[i])
	}
	if err == nil && rows > 0 {
		err = s.nameCopy(w, to)
	}
	if err != nil || rows == 0 {
		s.dropPack(to)
		return 0, err
	}
	for i := range g {
		written += s.move(g[i].pack, to, all[i])
	}
	return written, nil
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
		bytes += c.Size
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
	to.bytes += bytes
	s.used += bytes
	return bytes
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
