package state

import (
	"bytes"
	"slices"
)

// change is what a command wants done to one value. Its bytes are a part of the command.
type change struct {
	name, value []byte
	remove      bool
}

// name reads a name. There is no empty one.
func (d *decoder) name() []byte {
	name := d.bytes()
	if len(name) == 0 {
		d.Fail()
	}
	return name
}

func (d *decoder) sets(dst []change) []change {
	for range d.count(3) { // a name of one byte and its length, the length of the value
		dst = append(dst, change{name: d.name(), value: d.bytes()})
	}
	return dst
}

func (d *decoder) deletes(dst []change) []change {
	for range d.count(2) {
		dst = append(dst, change{name: d.name(), remove: true})
	}
	return dst
}

// merge returns old with t.changes carried out; what is set gets version. changed is false if that made no difference,
// ok is false if it would break a limit.
func (t *table) merge(old blob, version uint64) (merged blob, changed, ok bool) {
	limits, out, sets := t.limits.Load(), t.merged[:0], false
	for _, c := range t.tidyChanges() {
		below, found, rest := old.split(c.name)
		out, old = append(out, below...), rest
		if c.remove {
			changed = changed || found
			continue
		}
		if len(c.name) > limits.Name || len(c.value) > limits.Value {
			return nil, false, false
		}
		out, sets = out.append(c.name, version, c.value), true
	}
	out = append(out, old...)
	t.merged = out
	if keys, size := out.measure(); sets && (keys > limits.Keys || size > limits.Session) {
		return nil, false, false
	}
	return bytes.Clone(out), changed || sets, true
}

// tidyChanges sorts t.changes by name and leaves one change per name: the last to set it, else one to delete it.
func (t *table) tidyChanges() []change {
	slices.SortStableFunc(t.changes, func(a, b change) int { return bytes.Compare(a.name, b.name) })
	kept := t.changes[:0]
	for _, c := range t.changes {
		last := len(kept) - 1
		switch {
		case last < 0 || !bytes.Equal(kept[last].name, c.name):
			kept = append(kept, c)
		case !c.remove || kept[last].remove:
			kept[last] = c
		}
	}
	return kept
}
