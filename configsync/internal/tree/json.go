package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// json reads a file that is one JSON value.
func (p *parser) json(b []byte) *Node {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		at := p.place(b, len(b))
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = p.place(b, int(max(e.Offset-1, 0)))
		}
		p.problems.Add(at, "", "is no JSON: %v", err)
		return nil
	}
	r := jsonReader{parser: p, b: b, d: json.NewDecoder(bytes.NewReader(b))}
	r.d.UseNumber()
	t, at, _ := r.next()
	return r.value(t, at, nil, 0)
}

// jsonReader goes through what is known to be JSON.
type jsonReader struct {
	*parser
	b    []byte
	d    *json.Decoder
	mark int // an offset, and its place
	pos  Pos
}

// next returns the next token, where it is, and how it is written.
func (r *jsonReader) next() (json.Token, Pos, []byte) {
	start := int(r.d.InputOffset())
	for start < len(r.b) && strings.IndexByte(" \t\r\n,:", r.b[start]) >= 0 {
		start++
	}
	t, err := r.d.Token()
	if err != nil && err != io.EOF {
		r.problems.Add(r.placed(start), "", "is no JSON: %v", err)
	}
	return t, r.placed(start), r.b[start:max(start, int(r.d.InputOffset()))]
}

// placed is place for offsets that only grow, so that a file is gone through once.
func (r *jsonReader) placed(offset int) Pos {
	if r.pos.Line == 0 {
		r.pos = r.at(1, 1)
	}
	for _, c := range r.b[r.mark:offset] {
		switch {
		case c == '\n':
			r.pos.Line, r.pos.Column = r.pos.Line+1, 1
		case c&0xc0 != 0x80:
			r.pos.Column++
		}
	}
	r.mark = offset
	return r.pos
}

func (r *jsonReader) value(t json.Token, at Pos, in Path, depth int) *Node {
	raw := r.b[r.mark:max(r.mark, int(r.d.InputOffset()))]
	switch v := t.(type) {
	case json.Delim:
		return r.compound(v, at, in, depth)
	case bool:
		return &Node{Kind: Bool, Text: strconv.FormatBool(v), At: at}
	case json.Number:
		return &Node{Kind: Number, Text: v.String(), At: at}
	case string:
		r.whole(raw, at, in)
		return r.text(v, at, in)
	}
	return &Node{Kind: Null, At: at}
}

func (r *jsonReader) compound(d json.Delim, at Pos, in Path, depth int) *Node {
	deep := r.tooDeep(depth, at)
	o, list := r.object(at), &Node{Kind: List, At: at}
	for i := 0; r.d.More() && !deep; i++ {
		t, place, raw := r.next()
		if d == '[' {
			if v := r.value(t, place, in.Index(i), depth+1); v != nil {
				list.Items = append(list.Items, v)
			}
			continue
		}
		name, _ := t.(string)
		r.whole(raw, place, in)
		r.text(name, place, in)
		t, at, _ := r.next()
		v := r.value(t, at, in.With(name), depth+1)
		o.add(name, place, in, v)
	}
	switch {
	case deep || len(r.problems) > MaxProblems:
		r.b = r.b[:0:0]
		r.d = json.NewDecoder(bytes.NewReader(nil)) // enough
		r.mark = 0
		return nil
	case d == '[':
		r.next()
		return list
	}
	r.next()
	return o.node
}

// whole complains of half of a surrogate pair, which the library replaces.
func (r *jsonReader) whole(raw []byte, at Pos, in Path) {
	if !bytes.Contains(raw, []byte(`\u`)) {
		return
	}
	var high rune
	for i := 0; i < len(raw); i++ {
		var unit rune
		if raw[i] == '\\' && i+1 < len(raw) {
			i++
			if raw[i] == 'u' && i+4 < len(raw) {
				u, _ := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
				unit, i = rune(u), i+4
			}
		}
		low := utf16.IsSurrogate(unit) && unit >= 0xdc00
		if low != (high != 0) {
			r.problems.Add(at, in.String(), `holds half of a surrogate pair (\u%04x), which is no character`,
				max(unit, high))
			return
		}
		high = 0
		if utf16.IsSurrogate(unit) && !low {
			high = unit
		}
	}
}
