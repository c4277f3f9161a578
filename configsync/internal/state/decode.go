package state

import (
	"io/fs"
	"time"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/wire"
)

// decoder reads what the appends write.
type decoder struct{ wire.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{wire.NewDecoder(b)} }

// text reads text of so many bytes at most.
func (d *decoder) text(most int) string {
	s := d.Text(most)
	d.Check(utf8.ValidString(s))
	return s
}

func (d *decoder) path() string {
	p := d.text(MaxPath)
	d.Check(fs.ValidPath(p) && p != ".")
	return p
}

func (d *decoder) write() Write {
	return Write{Epoch: d.Uint(), Key: d.text(MaxKey), Who: d.text(MaxWho), Why: d.text(MaxWhy)}
}

func (d *decoder) content() Content {
	c := Content{Root: d.hash(), Source: d.hash(), Manifest: d.Uint(), Size: d.Uint(), Files: d.Uint(),
		Seal: string(d.Bytes(MaxSeal))}
	d.Check(!c.Root.IsZero() || c == Content{}) // a content of nothing is no content
	return c
}

// hash reads a hash that may be zero.
func (d *decoder) hash() (h blob.Hash) {
	b := d.Bytes(len(h))
	copy(h[:], b)
	d.Check(len(b) == 0 || len(b) == len(h) && !h.IsZero())
	return h
}

func (d *decoder) needs() Needs { return Needs{Program: d.text(MaxProgram), Level: d.Uint()} }

func (d *decoder) duration() time.Duration {
	return time.Duration(d.UintTo(uint64(MaxDuration.Milliseconds()))) * time.Millisecond
}

func (d *decoder) plan() Plan {
	p := Plan{Unreachable: Policy(d.Below(byte(Refuse) + 1)), Wait: d.duration(), MinReady: d.Uint(),
		Stage: d.duration(), Confirm: d.duration(), Bake: d.duration(), Dry: d.Bool(), Nodes: d.nodes(),
		Restart: Restarts(d.Below(byte(Manual) + 1))}
	d.Check(p.Bake <= p.Confirm)
	return p
}

// kind is what the op codes before a command say of its plan. The zero kind is said by none.
type kind struct {
	percent uint64
	strict  time.Duration
}

// planAs reads a plan of a kind.
func (d *decoder) planAs(as kind) Plan {
	p := d.plan()
	p.Percent, p.Strict = as.percent, as.strict
	d.Check(as == kind{} || len(p.Nodes) == 0)
	d.Check(as.strict == 0 || !p.Dry)
	return p
}

func (d *decoder) nodes() (out []string) {
	for range d.Count(MaxNodes, 2) {
		n := d.text(MaxNode)
		d.Check(n != "" && (len(out) == 0 || n > out[len(out)-1]))
		out = append(out, n)
	}
	return out
}

// time reads a time in ms since 1970.
func (d *decoder) time() time.Time {
	return time.UnixMilli(int64(d.UintTo(maxTime))).UTC()
}

// maybe reads a time that may not have come: that is a 0, and any other is one more.
func (d *decoder) maybe() time.Time {
	ms := d.UintTo(maxTime + 1)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms - 1)).UTC()
}
