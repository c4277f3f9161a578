package blob

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	mostQuarantined = 8            // damaged blobs that are kept for people to look at
	mostAside       = mostUnsynced // bytes of those, but for the last one
	mostLost        = 100_000      // refs that are remembered
)

// lose takes a blob out of the store that is damaged or gone, and remembers that it is wanted. It returns the
// error for who wanted it now.
func (s *Store) lose(h Hash, e *entry, why error) error {
	if isGone(why) {
		why = fmt.Errorf("%w: somebody has removed the file of %v: %w", ErrMissing, h, why)
	}
	if !s.setAside(h, e) {
		return why
	}
	if s.config.Corrupt != nil {
		s.config.Corrupt(h, why)
	}
	return why
}

// setAside reports false if somebody else did it.
func (s *Store) setAside(h Hash, e *entry) bool {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	if s.index[h] != e || s.closed {
		s.mu.Unlock()
		return false
	}
	at := s.placeLocked(h, e)
	s.takeLocked(h, e)
	s.counts.Corrupt++
	if len(s.lost) < mostLost {
		s.lost[h] = e.size
	}
	s.mu.Unlock()
	if at.pack == nil {
		s.quarantine(h, at.name)
	} else {
		s.copyAside(h, at)
	}
	s.wakeUp()
	return true
}

// cannotRead notes that the disk failed to read a blob. That says nothing of its bytes, so they stay where they are,
// and whoever opens the blob has the disk try again. Until that succeeds it is fetched anew as if it was lost. It
// returns the error for who wanted it now.
func (s *Store) cannotRead(h Hash, e *entry, why error) error {
	why = fmt.Errorf("blob: %v cannot be read, and is left where it is: %w", h, explain(why))
	s.mu.Lock()
	if s.index[h] != e || s.closed || descriptors.Exhausted(why) {
		s.mu.Unlock()
		return why
	}
	first := e.failed == nil
	e.failed, e.verified = why, false
	if len(s.lost) < mostLost {
		s.lost[h] = e.size
	}
	if first {
		s.counts.Corrupt++
	}
	s.mu.Unlock()
	if first {
		s.wakeUp()
		if s.config.Corrupt != nil {
			s.config.Corrupt(h, why)
		}
	}
	return why
}

// giveWayLocked has a blob that the disk failed to read make way for one that was written anew. In tempDir it
// stays where it is until the next start.
func (s *Store) giveWayLocked(h Hash) {
	e := s.index[h]
	if e != nil && e.temp == "" { // a file is replaced when the new one gets its name
		s.takeLocked(h, e)
	}
}

func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// takeLocked takes a damaged blob out of the index. In a pack it still takes its room, until that is written anew.
func (s *Store) takeLocked(h Hash, e *entry) {
	delete(s.index, h)
	if e.pack == nil {
		s.used -= e.size
		return
	}
	e.pack.dead += e.size
	e.pack.live--
	e.pack.damaged = true
}

// copyAside copies what is at the place of a damaged blob in a pack, as far as it can be read.
func (s *Store) copyAside(h Hash, at place) {
	f, err := s.openAt(at)
	if err != nil {
		return
	}
	defer f.Close()
	name, err := s.tempName()
	if err != nil {
		return
	}
	b := make([]byte, at.size)
	n, _ := f.ReadAt(b, 0)
	if s.root.WriteFile(name, b[:n], 0o600) == nil {
		s.quarantine(h, name)
	}
}

// quarantine moves a file aside, or removes it where that is not possible. The oldest give way.
func (s *Store) quarantine(h Hash, name string) {
	last := uint64(0)
	if old := s.quarantined(); len(old) > 0 {
		last = serial(old[len(old)-1].Name())
	}
	aside := path.Join(quarantineDir, fmt.Sprintf("%020d-%v", last+1, h))
	s.root.Mkdir(quarantineDir, 0o700)
	if err := s.root.Rename(name, aside); err != nil {
		s.root.Remove(name)
		return
	}
	s.keepAside(mostQuarantined, s.aside)
}

// keepAside removes the oldest of what was moved aside, until it is so few files, with so many bytes or only one. It
// returns how many bytes became free.
func (s *Store) keepAside(files int, bytes int64) (freed int64) {
	old := s.quarantined()
	total := int64(0)
	for _, info := range old {
		total += info.Size()
	}
	for len(old) > files || total > bytes && len(old) > 1 {
		total -= old[0].Size()
		if s.root.Remove(path.Join(quarantineDir, old[0].Name())) == nil {
			freed += old[0].Size()
		}
		old = old[1:]
	}
	return freed
}

// quarantined returns what was moved aside, the oldest first.
func (s *Store) quarantined() []os.FileInfo {
	infos, err := s.list(quarantineDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	infos = slices.DeleteFunc(infos, func(i os.FileInfo) bool { return serial(i.Name()) == 0 })
	slices.SortFunc(infos, func(a, b os.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return infos
}

// serial returns the number that such a name begins with; 0 = it is no such name.
func serial(name string) uint64 {
	digits, _, _ := strings.Cut(name, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(digits) != 20 {
		return 0
	}
	return n
}

// Lost returns the blobs that were in the store and turned out to be damaged or gone, as far as they were
// neither put again nor forgotten, and those that the disk failed to read when it was last tried. Package swarm brings
// them back.
func (s *Store) Lost() []Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	refs := make([]Ref, 0, len(s.lost))
	for h, size := range s.lost {
		refs = append(refs, Ref{Hash: h, Size: size})
	}
	return refs
}

// Loss gives a value when something was lost, after one loss or several.
func (s *Store) Loss() <-chan struct{} { return s.wake }

// Forget takes blobs from those of Lost that nobody needs any more.
func (s *Store) Forget(hashes ...Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		delete(s.lost, h)
	}
}
