package blob

import (
	"errors"
	"fmt"
)

// space is what a disk has left for us.
type space struct {
	bytes int64 // negative = unknown
	files int64 // negative = unknown, or as many as one likes
}

// blockSize is what a file takes on most disks, at least.
const blockSize = 4 << 10

// Room returns nil if so many bytes more fit into the quota and on the disk, as things are now, and otherwise
// ErrNoRoom with what is lacking. It reserves nothing.
func (s *Store) Room(bytes int64) error { return s.roomFor(bytes, 0) }

// RoomFor is Room for some blobs, of which none is there. It also counts the files, of which each takes whole
// blocks.
func (s *Store) RoomFor(refs []Ref) error {
	bytes := int64(0)
	for _, r := range refs {
		bytes += r.Size
	}
	return s.roomFor(bytes, int64(len(refs)))
}

func (s *Store) roomFor(bytes, files int64) error {
	s.mu.Lock()
	over := s.config.Quota > 0 && s.used+bytes > s.config.Quota
	err := error(nil)
	if over {
		err = s.overQuotaLocked(bytes)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err = s.diskFor(bytes, files); errors.Is(err, ErrNoRoom) {
		s.mu.Lock()
		s.cramped = true
		s.mu.Unlock()
	}
	return err
}

// diskFor is roomFor of the disk alone.
func (s *Store) diskFor(bytes, files int64) error {
	if s.config.Reserve < 0 {
		return nil
	}
	d, err := s.free()
	if err != nil {
		return fmt.Errorf("blob: how much of the disk is free: %w", err)
	}
	need := bytes + files*blockSize
	if d.bytes >= 0 && need > d.bytes-s.config.Reserve {
		return fmt.Errorf("%w on the disk of %s: %d bytes are needed, %d are free, and %d of them stay "+
			"free for others; make room and try again", ErrNoRoom, s.config.Dir, need, d.bytes, s.config.Reserve)
	}
	if d.files >= 0 && files > d.files {
		return fmt.Errorf("%w on the disk of %s: it has inodes for %d files more, and %d are needed; "+
			"remove files and try again", ErrNoRoom, s.config.Dir, d.files, files)
	}
	return nil
}
