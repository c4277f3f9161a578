package blob

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
)

const (
	mostPending  = 256       // blobs
	mostGrouped  = 4096      // the same where a disk can be synced as a whole
	groupFrom    = 64        // files for which that is done
	mostWaiting  = 256 << 20 // bytes of all programs that may wait for the disk then
	mostUnsynced = 64 << 20  // bytes
	syncers      = 16        // that wait for the disk at once: its journal takes them together
)

// Sync makes durable what was added before. A blob that the disk refuses is not in the store any more, and
// the error says so.
func (s *Store) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	return s.syncAll()
}

// Durable is Sync for who wants to be sure of some blobs. It returns nil if all of them are in the store, and
// outlast a power failure.
func (s *Store) Durable(hashes ...Hash) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	err := s.syncAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		e := s.index[h]
		if e != nil && e.failed == nil && e.durable() && !s.looseLocked(h, e) {
			continue
		}
		if err == nil && e != nil {
			err = e.failed
		}
		if err == nil { // it was another Sync that failed for this blob
			err = cmp.Or(s.syncErr, ErrMissing)
		}
		return fmt.Errorf("blob: %v could not be made durable: %w", h, err)
	}
	return nil
}

// looseLocked reports whether the name of a blob could not be made to last.
func (s *Store) looseLocked(h Hash, e *entry) bool {
	if len(s.dirty) == 0 {
		return false
	}
	dir, above := path.Dir(pathOf(h)), blobDir
	if e.pack != nil {
		dir, above = packDir, "."
	}
	_, folder := s.dirty[dir]
	_, folders := s.dirty[above]
	return folder || folders
}

// syncAll is Sync for who has the right to.
func (s *Store) syncAll() error {
	s.mu.Lock()
	hashes := s.pending
	s.pending, s.unsynced, s.small = nil, 0, 0
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	var sealed error
	var sealing sync.WaitGroup
	if w, p := s.takePack(); w != nil {
		sealing.Go(func() { sealed = s.seal(w, p) })
	}
	err := s.settleAll(hashes)
	sealing.Wait()
	err = errors.Join(err, sealed)
	if e := s.syncDirs(); e != nil {
		err = errors.Join(err, e)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("blob: %w", explain(err))
	s.mu.Lock()
	s.syncErr = err
	s.mu.Unlock()
	return err
}

// settleAll makes the bytes of blobs last, and then gives them their names.
func (s *Store) settleAll(hashes []Hash) error {
	synced := s.entries(hashes)
	if !s.syncTogether(len(hashes)) {
		clear(synced)
	}
	return each(hashes, func(h Hash) error { return s.settle(h, synced[h]) })
}

// entries returns those of blobs as they are now: one that is lost and comes again meanwhile has another file.
func (s *Store) entries(hashes []Hash) map[Hash]*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make(map[Hash]*entry, len(hashes))
	for _, h := range hashes {
		entries[h] = s.index[h]
	}
	return entries
}

// settle makes the bytes of one blob last, unless it is the one that is synced, and then gives it its name.
func (s *Store) settle(h Hash, synced *entry) (err error) {
	s.mu.Lock()
	e := s.index[h]
	s.mu.Unlock()
	if e == nil || e.temp == "" { // e.temp changes only here
		return nil
	}
	if e != synced {
		err = s.syncFile(e.temp)
	}
	if err == nil {
		err = s.rename(h, e)
	}
	if err != nil {
		s.drop(h, e)
	}
	return err
}

// syncTogether makes last all that was written, where so many files are to be synced that this takes less than each
// by itself, and others have not so much waiting that it takes more. If it returns false, each has to be synced:
// also after an error, so that it is known of which it is.
func (s *Store) syncTogether(files int) bool {
	return s.device != nil && files >= s.group && s.waiting() <= mostWaiting &&
		s.before("sync disk") == nil && syncDisk(s.device) == nil
}

func (s *Store) syncFile(name string) error {
	if s.temporary() {
		return nil
	}
	if err := s.before("sync"); err != nil {
		return err
	}
	f, err := s.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Store) rename(h Hash, e *entry) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	name := pathOf(h)
	made, err := s.giveName(e.temp, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.temp = ""
	s.dirty[path.Dir(name)] = struct{}{}
	if made {
		s.dirty[blobDir] = struct{}{}
	}
	return nil
}

// giveName gives a file its name, and reports whether the folder had to be made.
func (s *Store) giveName(temp, name string) (made bool, err error) {
	if err := s.before("rename"); err != nil {
		return false, err
	}
	if err = s.root.Rename(temp, name); isGone(err) { // the folder is not there yet
		made = s.root.Mkdir(path.Dir(name), 0o700) == nil
		err = s.root.Rename(temp, name)
	}
	if err == nil {
		s.before("renamed") // it is too late for an error
	}
	return made, err
}

// drop takes a blob out that could not be made durable. If it was lost before, it is so again: Repair tries later.
func (s *Store) drop(h Hash, e *entry) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	if s.index[h] == e {
		delete(s.index, h)
		s.used -= e.size
		if e.wanted && len(s.lost) < mostLost {
			s.lost[h] = e.size
		}
	}
	s.mu.Unlock()
	s.root.Remove(e.temp)
}

func (s *Store) syncDirs() error {
	s.mu.Lock()
	dirs := make([]string, 0, len(s.dirty))
	for dir := range s.dirty {
		dirs = append(dirs, dir)
	}
	clear(s.dirty)
	s.mu.Unlock()
	if s.syncTogether(len(dirs)) {
		return nil
	}
	err := each(dirs, func(dir string) error {
		if err := s.syncDir(dir); !isGone(err) {
			return err
		}
		return nil // somebody has removed it, with the names
	})
	if err != nil { // all of them again, next time
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, dir := range dirs {
			s.dirty[dir] = struct{}{}
		}
	}
	return err
}

// each calls f for every x, for some at once, and returns the first few errors.
func each[X any](xs []X, f func(X) error) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	next := make(chan X)
	for range min(syncers, len(xs)) {
		wg.Go(func() {
			for x := range next {
				if err := f(x); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, x := range xs {
		next <- x
	}
	close(next)
	wg.Wait()
	return errors.Join(errs[:min(len(errs), 3)]...)
}

// before is where a test ends the process, or has the disk fail.
func (s *Store) before(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
