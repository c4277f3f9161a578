package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// A snapshot is the format byte and blocks (blocks.go). The first block is the header: index, time, time of the last
// Tick, last version, limits. Then come the sessions in ascending order of their keys, some per block, then an empty
// block; then the graves that still count, likewise.
//
// Once limits were set by a ChangeLimits, which programs of earlier releases do not know, the format is the second: it has
// Total and the version of the limits at the end of the header. Before that it is the first, which they can read.
const (
	format        = 1
	formatLimits  = 2
	highestFormat = formatLimits
)

// frozen is a table as it was. Its pages and graves are not written to any more.
type frozen struct {
	format byte
	header []byte
	now    int64
	shards [256]struct {
		pages  []*page
		graves []grave
	}
}

// freeze must be called by Apply's goroutine.
func (t *table) freeze() *frozen {
	f := &frozen{format: format, header: t.appendHeader(nil), now: t.now.Load()}
	if t.limitsVersion.Load() > 0 {
		f.format = formatLimits
		f.header = binary.AppendUvarint(f.header, uint64(t.limits.Load().Total))
		f.header = binary.AppendUvarint(f.header, t.limitsVersion.Load())
	}
	n := 0
	for i := range t.shards {
		n += len(t.shards[i].pages)
	}
	pages := make([]*page, 0, n)
	for i := range t.shards {
		start := len(pages)
		pages = append(pages, t.shards[i].pages...)
		f.shards[i].pages = pages[start:]
		f.shards[i].graves = t.shards[i].graves.items
	}
	t.epoch++
	return f
}

func (t *table) appendHeader(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, t.applied.Load())
	dst = binary.AppendUvarint(dst, uint64(t.now.Load()))
	dst = binary.AppendUvarint(dst, uint64(t.ticked.Load()))
	dst = binary.AppendUvarint(dst, t.version)
	return t.limits.Load().append(dst)
}

// WriteTo implements io.WriterTo. It may be called any number of times.
func (f *frozen) WriteTo(w io.Writer) (int64, error) {
	out := newBlockWriter(w, f.format)
	out.buf = append(out.buf, f.header...)
	out.flush()
	var live []*session
	for i := range f.shards {
		live = f.sessions(i, live[:0])
		for _, s := range live {
			out.buf = append(out.buf, s.key[:]...)
			out.buf = s.append(out.buf)
			out.flushIfFull()
		}
	}
	out.endSection()
	var graves []grave
	for i := range f.shards {
		graves = f.graves(i, graves[:0])
		for _, g := range graves {
			out.buf = append(out.buf, g.key[:]...)
			out.buf = binary.AppendUvarint(out.buf, uint64(g.at))
			out.flushIfFull()
		}
	}
	out.endSection()
	return out.n, out.err
}

func (f *frozen) sessions(shard int, dst []*session) []*session {
	for _, p := range f.shards[shard].pages {
		for i := range p.slots {
			if s := &p.slots[i]; s.absolute != 0 {
				dst = append(dst, s)
			}
		}
	}
	slices.SortFunc(dst, func(a, b *session) int { return bytes.Compare(a.key[:], b.key[:]) })
	return dst
}

func (f *frozen) graves(shard int, dst []grave) []grave {
	for _, g := range f.shards[shard].graves {
		if g.counts(f.now) {
			dst = append(dst, g)
		}
	}
	slices.SortFunc(dst, func(a, b grave) int { return bytes.Compare(a.key[:], b.key[:]) })
	return dst
}

// readTable reads what frozen.WriteTo wrote.
func readTable(r io.Reader) (*table, error) {
	t, err := tryReadTable(r)
	if err != nil {
		return nil, fmt.Errorf("session state: snapshot: %w", err)
	}
	return t, nil
}

func tryReadTable(r io.Reader) (*table, error) {
	in, err := newBlockReader(r, format, highestFormat)
	if err != nil {
		return nil, err
	}
	header, err := in.next()
	if err != nil {
		return nil, err
	}
	t := newTable()
	if err := t.readHeader(header, in.format); err != nil {
		return nil, err
	}
	if err := in.section(t.sessionReader()); err != nil {
		return nil, err
	}
	if err := in.section(t.graveReader()); err != nil {
		return nil, err
	}
	for i := range t.shards {
		t.shards[i].sortGraves()
	}
	return t, nil
}

func (t *table) readHeader(b []byte, version byte) error {
	d := newDecoder(b)
	t.applied.Store(d.Uint())
	t.now.Store(d.millis())
	t.ticked.Store(d.millis())
	t.version = d.Uint()
	var limits Limits
	if version == format {
		limits = d.limits()
	} else {
		limits = d.changedLimits()
		t.limitsVersion.Store(d.Uint())
	}
	if !d.Done() || version != format && t.limitsVersion.Load() == 0 {
		return errCorrupt
	}
	t.limits.Store(&limits)
	t.endings.advance(t.now.Load())
	return nil
}

func (t *table) sessionReader() func(*decoder) {
	next := ascending()
	return func(d *decoder) {
		key := next(d)
		s := d.session()
		if d.Bad() {
			return
		}
		s.key, s.values = key, bytes.Clone(s.values)
		t.insert(s)
	}
}

func (t *table) graveReader() func(*decoder) {
	next := ascending()
	return func(d *decoder) {
		g := grave{key: next(d), at: d.millis()}
		sh := t.shard(g.key)
		if _, ok := sh.index[g.key]; ok || d.Bad() {
			d.Fail()
			return
		}
		sh.buryLocked(g.key, g.at)
		t.tombstones.Add(1)
		t.bytes.Add(graveCost * t.endings.add(min(g.at, t.now.Load())))
	}
}

// ascending returns a function that reads keys and refuses one that is not above the one before.
func ascending() func(*decoder) Key {
	var last Key
	first := true
	return func(d *decoder) Key {
		key := d.key()
		if !first && bytes.Compare(last[:], key[:]) >= 0 {
			d.Fail()
		}
		last, first = key, false
		return key
	}
}
