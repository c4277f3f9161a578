package tree

import (
	"bytes"
	"path"
	"unicode/utf8"
)

// Parse reads a file: YAML or JSON, as its name ends. An empty YAML file is an empty map. The error is a
// Problems.
func Parse(file string, b []byte) (*Node, error) {
	p := parser{file: file}
	if !p.plain(b) {
		return nil, p.problems.Err()
	}
	var n *Node
	switch path.Ext(file) {
	case ".json":
		n = p.json(b)
	case ".yaml", ".yml":
		n = p.yaml(b)
	default:
		p.problems.Add(Pos{File: file}, "", "the name has to end in .yaml, .yml or .json")
	}
	return n, p.problems.Err()
}

// parser collects what is wrong with a file.
type parser struct {
	file     string
	problems Problems
}

func (p *parser) at(line, column int) Pos { return Pos{p.file, line, column} }

// plain reports whether b is text that may be looked into.
func (p *parser) plain(b []byte) bool {
	if len(b) > MaxBytes {
		p.problems.Add(Pos{File: p.file}, "", "has %d bytes; %d are possible", len(b), MaxBytes)
		return false
	}
	for _, bom := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(b, []byte(bom)) {
			p.problems.Add(p.at(1, 1), "", "begins with a byte order mark: save it as plain UTF-8, without one")
			return false
		}
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			p.problems.Add(p.place(b, i), "", "is not UTF-8 here")
		case r == 0xfeff:
			p.problems.Add(p.place(b, i), "", "holds a byte order mark: take it away")
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 && r != 0x85:
			p.problems.Add(p.place(b, i), "", "holds the control character U+%04X: take it away", r)
		case r == 0x85 || r == 0x2028 || r == 0x2029:
			p.problems.Add(p.place(b, i), "", "holds the line break U+%04X, which only some programs take for one: "+
				"take it away", r)
		default:
			i += size
			continue
		}
		return false
	}
	return true
}

// place returns where a byte is.
func (p *parser) place(b []byte, offset int) Pos {
	before := b[:min(offset, len(b))]
	line := bytes.Count(before, []byte("\n")) + 1
	return p.at(line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])+1)
}

// object collects the entries of a map.
type object struct {
	p      *parser
	node   *Node
	places map[string]Pos
}

func (p *parser) object(at Pos) *object {
	return &object{p, &Node{Kind: Map, At: at}, map[string]Pos{}}
}

// add takes an entry, unless there is one of that name.
func (o *object) add(name string, at Pos, in Path, v *Node) {
	if first, twice := o.places[name]; twice {
		o.p.problems.Add(at, in.With(name).String(), "is here twice; first in line %d", first.Line)
		return
	}
	o.places[name] = at
	if v != nil {
		o.node.Fields = append(o.node.Fields, Field{name, at, v})
	}
}

// text returns a node of text, which must not hold NUL.
func (p *parser) text(s string, at Pos, in Path) *Node {
	for _, r := range s {
		if r == 0 {
			p.problems.Add(at, in.String(), "holds NUL (U+0000), which is no text")
			break
		}
	}
	return &Node{Kind: Text, Text: s, At: at}
}

// tooDeep reports whether a list or map is in more others than it may be, and says so.
func (p *parser) tooDeep(depth int, at Pos) bool {
	if depth < MaxDepth {
		return false
	}
	p.problems.Add(at, "", "is nested deeper than %d levels", MaxDepth)
	return true
}
