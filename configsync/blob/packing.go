package blob

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	mostPacked = 64 << 10 // bytes of the largest blob that gets into a pack
	looseFirst = 16       // small blobs that get a file each between two syncs, before the others get into a pack
	mostOpen   = 8        // packs that stay open while nobody reads them
)

// packing is the pack that small blobs get into until the next sync.
type packing struct {
	mu   sync.Mutex
	w    *packWriter // nil = none is begun; guarded by mu
	pack *pack       // of w
}

// packs reports whether a blob of so many bytes is to get into a pack. So few that are small between two syncs get a
// file each that no pack is made for them. One that was lost, or that is there and cannot be read, always gets a
// file: load prefers a file, so it does not find the damaged bytes to which a pack may still have a row, nor an old
// file.
func (s *Store) packs(h Hash, size int) bool {
	if size > mostPacked {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, lost := s.lost[h]; lost || s.index[h] != nil {
		return false
	}
	s.small++
	return s.small > s.loose
}

// addPacked puts a blob into the pack of now.
func (s *Store) addPacked(h Hash, b []byte) error {
	size := int64(len(b))
	if err := s.Room(0); err != nil {
		return err
	}
	if err := s.charge(size); err != nil {
		return err
	}
	added, full, err := s.intoPack(h, b)
	if !added {
		s.charge(-size)
	}
	if err == nil && full {
		err = s.Sync()
	}
	return err
}

// intoPack reports added = false also for a blob that somebody else has put into the store meanwhile.
func (s *Store) intoPack(h Hash, b []byte) (added, full bool, err error) {
	s.packing.mu.Lock()
	defer s.packing.mu.Unlock()
	if s.packing.w == nil {
		if s.packing.w, s.packing.pack, err = s.beginPack(); err != nil {
			return false, false, err
		}
	}
	if err = s.before("write"); err == nil {
		err = s.packing.w.write(b)
	}
	if err != nil {
		s.giveUpLocked()
		return false, false, fmt.Errorf("blob: %w", explain(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false, ErrClosed
	}
	if e := s.hereLocked(h); e != nil {
		e.used = s.now()
		return false, false, nil
	}
	s.giveWayLocked(h)
	size := int64(len(b))
	w, p := s.packing.w, s.packing.pack
	s.index[h] = &entry{size: size, used: s.now(), pack: p, at: w.add(h, size), verified: true}
	p.bytes += size
	p.live++
	delete(s.lost, h)
	s.counts.Written++
	s.counts.WrittenBytes += size
	s.unsynced += size
	return true, w.rows >= mostGrouped || s.unsynced >= mostUnsynced, nil
}

// giveUpLocked removes the pack of now if nothing has got into it. packing.mu is held.
func (s *Store) giveUpLocked() {
	if s.packing.w.rows == 0 {
		s.dropPack(s.packing.pack)
		s.packing.w, s.packing.pack = nil, nil
	}
}

// beginPack makes the file of a pack.
func (s *Store) beginPack() (*packWriter, *pack, error) {
	name, err := s.tempName()
	if err != nil {
		return nil, nil, err
	}
	f, err := s.createTemp(name)
	if err != nil {
		return nil, nil, err
	}
	w, err := newPackWriter(f)
	if err != nil {
		f.Close()
		s.root.Remove(name)
		return nil, nil, fmt.Errorf("blob: %w", explain(err))
	}
	p := &pack{name: name, temp: true}
	s.mu.Lock()
	if s.closed {
		err = ErrClosed
	} else {
		p.open = share(f)
		s.known[p] = struct{}{}
	}
	s.mu.Unlock()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return w, p, nil
}

// tempName returns a name for a file that is to be written.
func (s *Store) tempName() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", ErrClosed
	}
	s.temps++
	return path.Join(tempDir, strconv.FormatUint(s.temps, 10)), nil
}

func (s *Store) createTemp(name string) (*os.File, error) {
	err := s.before("create")
	if err == nil {
		var f *os.File
		if f, err = s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("blob: %w", explain(err))
}

// takePack returns the pack of now, so that nothing is added to it any more; nil if there is none.
func (s *Store) takePack() (*packWriter, *pack) {
	s.packing.mu.Lock()
	defer s.packing.mu.Unlock()
	w, p := s.packing.w, s.packing.pack
	s.packing.w, s.packing.pack = nil, nil
	return w, p
}

// seal makes the bytes of a pack last, and then gives it its name. One that the disk refuses is not in the store any
// more, and so are its blobs.
func (s *Store) seal(w *packWriter, p *pack) error {
	if w.rows == 0 {
		s.dropPack(p)
		return nil
	}
	name, err := s.lastPack(w)
	if err == nil {
		err = s.namePack(p, path.Join(packDir, name.String()))
	}
	if err != nil {
		s.dropPack(p)
	}
	return err
}

// lastPack makes a pack last, and returns the name that it is to have.
func (s *Store) lastPack(w *packWriter) (name Hash, err error) {
	if err := s.before("table"); err != nil {
		return Hash{}, err
	}
	if name, err = w.finish(); err != nil || s.temporary() {
		return name, err
	}
	if err := s.before("sync"); err != nil {
		return Hash{}, err
	}
	return name, w.f.Sync()
}

func (s *Store) namePack(p *pack, name string) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	made, err := s.giveName(p.name, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.name, p.temp = name, false
	s.dirty[packDir] = struct{}{}
	if made {
		s.dirty["."] = struct{}{}
	}
	s.warm = append(s.warm, p)
	s.coolLocked(mostOpen)
	return nil
}

// dropPack takes a pack out that could not be made durable, and the blobs that are in it.
func (s *Store) dropPack(p *pack) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	for h, e := range s.index {
		if e.pack == p {
			delete(s.index, h)
		}
	}
	s.used -= p.bytes
	name := p.name
	s.removeLocked(p)
	s.mu.Unlock()
	s.root.Remove(name)
}

// removeLocked forgets a pack.
func (s *Store) removeLocked(p *pack) {
	delete(s.known, p)
	s.warm = slices.DeleteFunc(s.warm, func(q *pack) bool { return p == q })
	p.gone = true
	p.open.letGo()
	p.open = nil
}

// coolLocked closes packs until at most so many are open that nobody reads.
func (s *Store) coolLocked(most int) {
	for len(s.warm) > most {
		p := s.warm[0]
		s.warm = s.warm[1:]
		p.open.letGo()
		p.open = nil
	}
}

// openPack opens a pack that is not open, and keeps it open for others.
func (s *Store) openPack(p *pack, name string) (*sharedFile, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	in := share(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.open == nil && !p.gone && !s.closed {
		p.open = in.hold()
		s.warm = append(s.warm, p)
		s.coolLocked(mostOpen)
	}
	return in, nil
}

// loadPacks reads what is in the packs, the last written first: of a blob that several packs have it prefers the one
// that came when the others' was of no use any more.
func (s *Store) loadPacks() error {
	infos, err := s.list(packDir)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(infos, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range infos {
		name, err := ParseHash(info.Name())
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := s.loadPack(name); err != nil {
			return err
		}
		s.dirty[packDir] = struct{}{}
	}
	return nil
}

// loadPack reads what is in a pack. One whose table is damaged is moved aside: nobody knows what was in it, and what is
// needed of that is found to be missing. One that cannot be read now stays where it is, and is tried again by Sweep and
// Scrub: until then what was in it is missing as well.
func (s *Store) loadPack(name Hash) error {
	p := &pack{name: path.Join(packDir, name.String())}
	refs, err := s.tableOf(p.name, name)
	if descriptors.Exhausted(err) {
		return err
	}
	if s.loaded(name, p, refs, err) {
		return nil
	}
	s.mu.Lock()
	_, again := s.unread[name]
	s.unread[name] = struct{}{}
	s.mu.Unlock()
	if !again {
		err = fmt.Errorf("blob: the pack %s cannot be read, and is left where it is: %w", p.name, explain(err))
		s.tellOfPack(name, err)
	}
	return nil
}

// loaded takes in what a pack has, of which err says how reading it has ended. It reports false if the pack cannot be
// read now.
func (s *Store) loaded(name Hash, p *pack, refs []Ref, err error) bool {
	if err != nil && !isGone(err) && !errors.Is(err, ErrCorrupt) {
		return false
	}
	if errors.Is(err, ErrCorrupt) {
		s.moving.Lock()
		s.quarantine(name, p.name)
		s.moving.Unlock()
		s.tellOfPack(name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unread, name)
	if err == nil && !s.closed {
		s.loadTableLocked(p, refs)
	}
	return true
}

func (s *Store) tellOfPack(name Hash, err error) {
	s.mu.Lock()
	s.counts.Corrupt++
	s.mu.Unlock()
	if s.config.Corrupt != nil {
		s.config.Corrupt(name, err)
	}
}

// retryPacks reads the packs that could not be read until now.
func (s *Store) retryPacks() error {
	s.retrying.Lock()
	defer s.retrying.Unlock()
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.unread))
	s.mu.Unlock()
	for _, name := range names {
		if err := s.loadPack(name); err != nil {
			return err
		}
	}
	return nil
}

// tableOf returns what the file of a pack says that is in it.
func (s *Store) tableOf(file string, name Hash) ([]Ref, error) {
	if err := s.before("open pack"); err != nil {
		return nil, err
	}
	f, err := s.root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := s.before("read pack"); err != nil {
		return nil, err
	}
	return readTable(f, name)
}

// loadTableLocked has the index have the blobs of a pack, unless they are in it already: a file counts, and a pack that
// was written later. Of two rows of one blob in a pack the last one counts.
func (s *Store) loadTableLocked(p *pack, refs []Ref) {
	at := int64(len(packMagic))
	for _, r := range refs {
		p.bytes += r.Size
		switch e := s.index[r.Hash]; {
		case e == nil:
			p.live++
			s.index[r.Hash] = &entry{size: r.Size, used: s.now(), pack: p, at: at}
			delete(s.lost, r.Hash)
		case e.pack == p:
			p.dead += e.size
			e.size, e.at = r.Size, at
		default:
			p.dead += r.Size
		}
		at += r.Size
	}
	s.used += p.bytes
	s.known[p] = struct{}{}
}
