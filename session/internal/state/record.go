package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Granularity is how far apart two touches of one session need be: a thirtieth of its idle time, at least 10 s and at
// most 60 s, in whole milliseconds. A session lives that much longer than its idle time says, so that leaving touches
// out ends none early.
func Granularity(idle time.Duration) time.Duration {
	return min(max(idle/30, 10*time.Second), 60*time.Second).Truncate(time.Millisecond)
}

// Record is a session as it was at one moment. It never changes. The slices it hands out belong to the machine and must
// not be modified; they may be kept. Formatted, it does not show them.
type Record struct {
	Created  time.Time
	LastSeen time.Time
	Idle     time.Duration
	Absolute time.Duration
	Mod      uint64 // log index of the last command that changed it; touches do not count

	values blob
}

// Versioned is one value of a session with its version.
type Versioned struct {
	Entry
	Version uint64 // not 0, and another one after every change of the value
}

// NewRecord returns a Record that holds copies of values, in any order, for stores that are not built on a Machine. The
// fields are the caller's to fill in. It fails if a name is empty or there twice, if a version is 0, and if a Record
// cannot hold that much.
func NewRecord(values []Versioned) (Record, error) {
	values = slices.Clone(values)
	slices.SortFunc(values, func(a, b Versioned) int { return strings.Compare(a.Name, b.Name) })
	var b blob
	for i := range values {
		v := &values[i]
		if i > 0 && v.Name == values[i-1].Name {
			return Record{}, fmt.Errorf("session state: two values called %q", v.Name)
		}
		b = b.append([]byte(v.Name), v.Version, v.Value)
	}
	d := newDecoder(appendBytes(nil, b))
	if r := (Record{values: d.blob()}); !d.Bad() {
		return r, nil
	}
	return Record{}, errors.New("session state: a name is empty, a version is 0, or a Record cannot hold as much")
}

// Deadline returns when the session ends if nobody uses it any more.
func (r Record) Deadline() time.Time {
	s := r.session()
	return fromMillis(s.deadline())
}

// String describes the session without any of its values.
func (r Record) String() string {
	return fmt.Sprintf("session of %d values, changed at %d, seen %s", r.Len(), r.Mod, r.LastSeen.Format(time.RFC3339))
}

// Value returns the value called name and its version, for CAS. The version grows with every change of the value; it
// is 0 only if there is none.
func (r Record) Value(name string) (value []byte, version uint64, ok bool) {
	return r.values.find(name)
}

// Names yields the names of all values in ascending order.
func (r Record) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for b := r.values; len(b) > 0; {
			var name []byte
			name, _, _, b = b.next()
			if !yield(string(name)) {
				return
			}
		}
	}
}

// Values yields all values in ascending order of their names.
func (r Record) Values() iter.Seq[Versioned] {
	return func(yield func(Versioned) bool) {
		for b := r.values; len(b) > 0; {
			var name, value []byte
			var version uint64
			name, version, value, b = b.next()
			if !yield(Versioned{Entry: Entry{Name: string(name), Value: value}, Version: version}) {
				return
			}
		}
	}
}

// Len returns the number of values.
func (r Record) Len() int {
	n, _ := r.values.measure()
	return n
}

// blob is all values of one session: name, version, value; again and again, in ascending order of the names. It is
// replaced, never edited, so that readers and snapshots need no more than the slice.
type blob []byte

// next splits off the first value. b must be well-formed and not empty.
func (b blob) next() (name []byte, version uint64, value []byte, rest blob) {
	n, w := binary.Uvarint(b)
	b = b[w:]
	name, b = b[:n:n], b[n:]
	version, w = binary.Uvarint(b)
	b = b[w:]
	n, w = binary.Uvarint(b)
	b = b[w:]
	return name, version, b[:n:n], b[n:]
}

func (b blob) find(name string) (value []byte, version uint64, ok bool) {
	for len(b) > 0 {
		var n []byte
		n, version, value, b = b.next()
		if string(n) == name {
			return value, version, true
		}
	}
	return nil, 0, false
}

// split returns the values with names below name, whether there is one of that name, and those above.
func (b blob) split(name []byte) (below blob, found bool, above blob) {
	for above = b; len(above) > 0; {
		n, _, _, rest := above.next()
		if order := bytes.Compare(n, name); order >= 0 {
			below = b[:len(b)-len(above)]
			if order == 0 {
				above = rest
			}
			return below, order == 0, above
		}
		above = rest
	}
	return b, false, nil
}

// measure returns the number of values and the bytes of all names and values together.
func (b blob) measure() (keys, size int) {
	for len(b) > 0 {
		var name, value []byte
		name, _, value, b = b.next()
		keys++
		size += len(name) + len(value)
	}
	return keys, size
}

func (b blob) append(name []byte, version uint64, value []byte) blob {
	b = appendBytes(b, name)
	b = binary.AppendUvarint(b, version)
	return appendBytes(b, value)
}

// blob reads a blob of another node or time and checks what the methods above rely on. The result is a part of the
// message.
func (d *decoder) blob() blob {
	all := d.bytes()
	var last []byte
	in := newDecoder(all)
	for n := 0; len(in.Rest()) > 0; n++ {
		name := in.bytes()
		version := in.Uint()
		value := in.bytes()
		if in.Bad() || len(name) == 0 || len(name) > maxLimits.Name || len(value) > maxLimits.Value || version == 0 ||
			n >= maxLimits.Keys || n > 0 && bytes.Compare(last, name) >= 0 {
			d.Fail()
			return nil
		}
		last = name
	}
	if len(all) > maxBlob {
		d.Fail()
		return nil
	}
	return all
}

// maxBlob is the longest blob that maxLimits allow.
const maxBlob = 2<<20 + 4096*(2+10+3)
