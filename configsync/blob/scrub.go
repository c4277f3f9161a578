package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// ScrubReport is what a Scrub has found.
type ScrubReport struct {
	Blobs, Bytes int64 // that were read
	Lost         []Ref // that were damaged or gone; damaged ones are moved aside
	Unreadable   []Ref // that the disk failed to read; they are left where they are
}

// Scrub reads all blobs that the store has now and compares them with their names. It takes its time, so that
// others have the disk: about over, in which 24 hours are usual; 0 = as fast as it can. It returns early with
// the error of ctx, and what it has found until then. If the disk fails to read some blobs, the others are read all
// the same, and the error says why it could not read the first of them. A pack, a file of many blobs, whose table is
// damaged is told of, and the next Sweep writes it anew.
func (s *Store) Scrub(ctx context.Context, over time.Duration) (ScrubReport, error) {
	var report ScrubReport
	failed := s.retryPacks()
	refs, total := s.all()
	for _, r := range refs {
		if err := pause(ctx, over, r.Size, total); err != nil {
			return report, err
		}
		err := s.Verify(r.Hash)
		switch {
		case err == nil:
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrMissing) && s.isLost(r.Hash):
			report.Lost = append(report.Lost, r)
		case errors.Is(err, ErrMissing): // swept meanwhile
			continue
		case s.isUnreadable(r.Hash):
			report.Unreadable = append(report.Unreadable, r)
			failed = cmp.Or(failed, err)
		default:
			return report, err
		}
		report.Blobs++
		report.Bytes += r.Size
		s.mu.Lock()
		s.counts.Scrubbed++
		s.counts.ScrubbedBytes += r.Size
		s.mu.Unlock()
	}
	if n := len(report.Unreadable); n > 1 {
		failed = fmt.Errorf("%w; nor can %d others", failed, n-1)
	}
	s.scrubTables()
	return report, failed
}

// scrubTables reads the tables of packs, which otherwise a start alone does: then it is too late to find that one is
// damaged. Now the store knows what is in the pack, and the next Sweep writes it anew.
func (s *Store) scrubTables() {
	s.mu.Lock()
	named := make(map[string]*pack)
	for p := range s.known {
		if !p.temp && !p.damaged {
			named[p.name] = p
		}
	}
	s.mu.Unlock()
	for at, p := range named {
		name, err := ParseHash(path.Base(at))
		if err == nil {
			_, err = s.tableOf(at, name)
		}
		if err != nil && !isGone(err) && !descriptors.Exhausted(err) {
			s.spoilt(p, name, err)
		}
	}
}

// spoilt has the next Sweep write a pack anew whose table is damaged or cannot be read.
func (s *Store) spoilt(p *pack, name Hash, why error) {
	s.mu.Lock()
	told := p.damaged || p.gone || s.closed
	if !told {
		p.damaged = true
		s.counts.Corrupt++
	}
	s.mu.Unlock()
	if !told && s.config.Corrupt != nil {
		s.config.Corrupt(name, fmt.Errorf("blob: the next sweep writes the pack %s anew: %w", p.name, explain(why)))
	}
}

// pause waits for a blob's share of the time that a scrub is to take.
func pause(ctx context.Context, over time.Duration, size, total int64) error {
	share := time.Duration(float64(over) * float64(size+blockSize) / float64(total+1))
	if share <= 0 {
		return context.Cause(ctx)
	}
	if !sleep.For(ctx, share) {
		return context.Cause(ctx)
	}
	return nil
}

// all returns the blobs of now in no order, and a size of all that counts the files, too.
func (s *Store) all() (refs []Ref, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refs = make([]Ref, 0, len(s.index))
	for h, e := range s.index {
		refs = append(refs, Ref{Hash: h, Size: e.size})
		total += e.size + blockSize
	}
	return refs, total
}

// Verify reads a blob and compares it with its name, whether that was done before or not. If it is damaged,
// it is moved aside, and the error is ErrCorrupt. If it is not there, it is ErrMissing. Any other error is of the disk,
// and leaves the blob where it is.
func (s *Store) Verify(h Hash) error {
	s.mu.Lock()
	if e := s.index[h]; e != nil {
		e.verified = false
	}
	s.mu.Unlock()
	f, _, err := s.open(h, false)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) isUnreadable(h Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[h]
	return e != nil && e.failed != nil
}

func (s *Store) isLost(h Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, lost := s.lost[h]
	return lost
}
