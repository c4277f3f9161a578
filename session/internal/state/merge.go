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
		d.fail()
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
	changes := t.tidyChanges()
	limits := t.limits.Load()
	out, grows := t.merged[:0], false
	for len(old) > 0 || len(changes) > 0 {
		if len(changes) == 0 {
			out = append(out, old...)
			break
		}
		c := changes[0]
		order := -1 // of the first old value, to the first change
		var rest blob
		if len(old) == 0 {
			order = 1
		} else {
			var name []byte
			name, _, _, rest = old.next()
			order = bytes.Compare(name, c.name)
		}
		if order < 0 {
			out = append(out, old[:len(old)-len(rest)]...)
			old = rest
			continue
		}
		if order == 0 {
			old = rest
		}
		changes = changes[1:]
		if c.remove {
			changed = changed || order == 0
			continue
		}
		if len(c.name) > limits.Name || len(c.value) > limits.Value {
			return nil, false, false
		}
		out = out.append(c.name, version, c.value)
		changed, grows = true, true
	}
	t.merged = out
	if keys, size := out.measure(); grows && (keys > limits.Keys || size > limits.Session) {
		return nil, false, false
	}
	return bytes.Clone(out), changed, true
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
