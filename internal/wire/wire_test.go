package wire

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestDecoder: what was written is read, all of it.
func TestDecoder(t *testing.T) {
	b := binary.AppendUvarint([]byte{7, 2, 1}, math.MaxUint64)
	b = append(b, 3, 'a', 'b', 'c', 'd', 'e', 2, 'x', 'y', 1, 'z')
	d := NewDecoder(b)
	if d.Byte() != 7 || d.Below(3) != 2 || !d.Bool() || d.Uint() != math.MaxUint64 || d.Text(3) != "abc" ||
		string(d.Take(2)) != "de" || d.Count(2, 1) != 2 || string(d.Rest()) != "xy\x01z" || string(d.Take(2)) != "xy" ||
		d.Done() || string(d.Bytes(1)) != "z" || !d.Done() || d.Bad() {
		t.Errorf("%+v", d)
	}
	part := NewDecoder([]byte{1, 'a', 'b'})
	if p := part.Bytes(1); append(p, 'c')[1] != 'c' || part.Byte() != 'b' {
		t.Error("what is appended to a part is written over what follows")
	}
}

// TestDecoderRefuses: what does not fit is zero, and all that follows is.
func TestDecoderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		read func(*Decoder) bool // reports whether it was zero
	}{
		"no byte":       {nil, func(d *Decoder) bool { return d.Byte() == 0 }},
		"not below":     {[]byte{3}, func(d *Decoder) bool { return d.Below(3) == 0 }},
		"no bool":       {[]byte{2}, func(d *Decoder) bool { return !d.Bool() }},
		"cut off":       {[]byte{0x80}, func(d *Decoder) bool { return d.Uint() == 0 }},
		"padded":        {[]byte{0x81, 0}, func(d *Decoder) bool { return d.Uint() == 0 }},
		"padded zero":   {[]byte{0x80, 0}, func(d *Decoder) bool { return d.Uint() == 0 }},
		"too long":      {[]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, func(d *Decoder) bool { return d.Uint() == 0 }},
		"too much":      {[]byte{9}, func(d *Decoder) bool { return d.UintTo(8) == 0 }},
		"few":           {[]byte{1}, func(d *Decoder) bool { return string(d.Take(2)) == "\x00\x00" }},
		"text cut off":  {[]byte{2, 'a'}, func(d *Decoder) bool { return d.Text(9) == "" }},
		"text too long": {[]byte{2, 'a', 'b'}, func(d *Decoder) bool { return d.Text(1) == "" }},
		"huge text":     {binary.AppendUvarint(nil, math.MaxUint64), func(d *Decoder) bool { return d.Text(math.MaxInt) == "" }},
		"few items":     {[]byte{2, 1, 1, 1}, func(d *Decoder) bool { return d.Count(9, 2) == 0 }},
		"many items":    {[]byte{2, 1, 1, 1}, func(d *Decoder) bool { return d.Count(1, 1) == 0 }},
		"wrong":         {[]byte{1}, func(d *Decoder) bool { d.Check(true); d.Check(false); return true }},
	} {
		d := NewDecoder(append(c.b, 1, 1)[:len(c.b)])
		if !c.read(&d) || !d.Bad() || d.Done() || len(d.Rest()) != 0 || d.Byte() != 0 || d.Text(1) != "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
