package tree

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yaml reads a file of one document. What YAML has beyond data, and notations that are read differently by
// different programs, are refused. Nothing is ever expanded, so nothing grows.
func (p *parser) yaml(b []byte) *Node {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, next yaml.Node
	err := d.Decode(&doc)
	if err == io.EOF {
		return &Node{Kind: Map, At: p.at(1, 1)}
	}
	if err != nil {
		p.syntax(err)
		return nil
	}
	if err = d.Decode(&next); err == nil {
		p.problems.Add(p.at(next.Line, next.Column), "", "is a second document (---): a file has one")
	} else if err != io.EOF {
		p.syntax(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" && root.Value == "" && root.Anchor == "" {
		return &Node{Kind: Map, At: p.at(1, 1)} // comments alone
	}
	return p.node(root, nil, 0)
}

var lineOf = regexp.MustCompile(`^line (\d+): `)

// syntax tells what the library says is no YAML. It knows the line, if that.
func (p *parser) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := lineOf.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if strings.HasPrefix(text, "unknown anchor") {
		text = noAlias
	}
	if strings.Contains(text, "cannot start any token") {
		text += ": a line is indented by spaces and not by tabs, and text that begins with @, ` or % is in quotes"
		line = max(line, 1)
	}
	p.problems.Add(p.at(line, 0), "", "%s", text)
}

const noAlias = "anchors (&) and aliases (*) are not taken: write the value out, or text that begins so " +
	"in quotes"

func (p *parser) node(n *yaml.Node, in Path, depth int) *Node {
	at := p.at(n.Line, n.Column)
	switch {
	case n.Kind != yaml.ScalarNode && p.tooDeep(depth, at):
		return nil
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		p.problems.Add(at, in.String(), noAlias)
		return nil
	case n.Style&yaml.TaggedStyle != 0:
		p.problems.Add(at, in.String(), "tags (%s) are not taken: the type is known by the field", n.Tag)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.mapping(n, in, depth)
	case yaml.SequenceNode:
		out := &Node{Kind: List, At: at}
		for i, item := range n.Content {
			if v := p.node(item, in.Index(i), depth+1); v != nil {
				out.Items = append(out.Items, v)
			}
		}
		return out
	}
	return p.scalar(n, at, in)
}

func (p *parser) mapping(n *yaml.Node, in Path, depth int) *Node {
	o := p.object(p.at(n.Line, n.Column))
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := p.at(k.Line, k.Column)
		switch {
		case k.Anchor != "" || k.Kind == yaml.AliasNode:
			p.problems.Add(at, in.String(), noAlias)
		case k.Kind != yaml.ScalarNode:
			p.problems.Add(at, in.String(), "a name is text, and this is a list or a map")
		case k.Tag == "!!merge":
			p.problems.Add(at, in.String(), "merge keys (<<) are not taken: write the fields out")
		case k.Style&yaml.TaggedStyle != 0:
			p.problems.Add(at, in.String(), "tags (%s) are not taken", k.Tag)
		case k.Tag == "!!null":
			p.problems.Add(at, in.String(), "a name is missing before the colon, or has to be in quotes")
		default:
			p.text(k.Value, at, in)
			o.add(k.Value, at, in, p.node(v, in.With(k.Value), depth+1))
		}
	}
	return o.node
}

// scalar takes text for what it is in YAML. Bool and Number keep their notation: whoever wants one says
// which are taken.
func (p *parser) scalar(n *yaml.Node, at Pos, in Path) *Node {
	switch n.Tag {
	case "!!null":
		return &Node{Kind: Null, At: at}
	case "!!bool":
		return &Node{Kind: Bool, Text: n.Value, At: at}
	case "!!int", "!!float":
		return &Node{Kind: Number, Text: n.Value, At: at}
	case "!!merge":
		p.problems.Add(at, in.String(), "merge keys (<<) are not taken")
		return nil
	}
	return p.text(n.Value, at, in)
}
