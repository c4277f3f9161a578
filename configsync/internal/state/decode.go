package state

import (
	"encoding/binary"
	"io/fs"
	"time"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// decoder reads what the appends write. After the first thing that is wrong it returns nothing any more.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && v>>(7*(n-1)) == 0 { // written longer than it need be
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(most int) []byte {
	n := d.number()
	if n > uint64(min(most, len(d.b))) {
		d.b, d.bad = nil, true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// text returns a copy of text of so many bytes at most.
func (d *decoder) text(most int) string {
	b := d.bytes(most)
	if !utf8.Valid(b) {
		d.bad = true
	}
	return string(b)
}

// count returns how many things follow, of which each has so many bytes at least.
func (d *decoder) count(most, size int) int {
	n := d.number()
	if n > uint64(most) || n > uint64(len(d.b)/size) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) flag() bool {
	v := d.number()
	d.bad = d.bad || v > 1
	return v == 1
}

func (d *decoder) path() string {
	p := d.text(MaxPath)
	d.bad = d.bad || !fs.ValidPath(p) || p == "."
	return p
}

// done reports whether everything was read, and right.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

func (d *decoder) write() Write {
	return Write{Epoch: d.number(), Key: d.text(MaxKey), Who: d.text(MaxWho), Why: d.text(MaxWhy)}
}

func (d *decoder) content() Content {
	c := Content{Root: d.hash(), Source: d.hash(), Manifest: d.number(), Size: d.number(), Files: d.number(),
		Seal: string(d.bytes(MaxSeal))}
	d.bad = d.bad || c.Root.IsZero() && c != Content{} // a content of nothing is no content
	return c
}

// hash reads a hash that may be zero.
func (d *decoder) hash() (h blob.Hash) {
	b := d.bytes(len(h))
	copy(h[:], b)
	d.bad = d.bad || len(b) > 0 && (len(b) < len(h) || h.IsZero())
	return h
}

func (d *decoder) needs() Needs { return Needs{Program: d.text(MaxProgram), Level: d.number()} }

func (d *decoder) duration() time.Duration {
	ms := d.number()
	d.bad = d.bad || ms > uint64(MaxDuration.Milliseconds())
	return time.Duration(min(ms, uint64(MaxDuration.Milliseconds()))) * time.Millisecond
}

func (d *decoder) plan() Plan {
	p := Plan{Unreachable: Policy(d.flagUpTo(byte(Refuse))), Wait: d.duration(), MinReady: d.number(),
		Stage: d.duration(), Confirm: d.duration(), Bake: d.duration(), Dry: d.flag(), Nodes: d.nodes()}
	d.bad = d.bad || p.Bake > p.Confirm
	return p
}

func (d *decoder) flagUpTo(most byte) byte {
	v := d.number()
	d.bad = d.bad || v > uint64(most)
	return byte(v)
}

func (d *decoder) nodes() (out []string) {
	for range d.count(MaxNodes, 2) {
		n := d.text(MaxNode)
		d.bad = d.bad || n == "" || len(out) > 0 && n <= out[len(out)-1]
		out = append(out, n)
	}
	return out
}

// time reads a time in ms since 1970.
func (d *decoder) time() time.Time {
	ms := d.number()
	d.bad = d.bad || ms > maxTime
	return time.UnixMilli(int64(min(ms, maxTime))).UTC()
}

// maybe reads a time that may not have come: that is a 0, and any other is one more.
func (d *decoder) maybe() time.Time {
	ms := d.number()
	d.bad = d.bad || ms > maxTime+1
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(min(ms, maxTime+1) - 1)).UTC()
}
