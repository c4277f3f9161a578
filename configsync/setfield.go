package configsync

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// SetField returns the text of a YAML file in which a field has another value; the rest stays as it was,
// comments too. Text may be empty. section is a path of URLs whose section is meant, "" = none. value is
// YAML: 3, or a text, or [a, b], or null.
//
// What comes out need not fit the type of the config: Put checks that. Errors: Problems, if the text is no
// YAML that is taken; and what is wrong with field or value.
func SetField(file, text, section, field, value string) (string, error) {
	var v yaml.Node
	if err := yaml.Unmarshal([]byte(value), &v); err != nil {
		return "", fmt.Errorf("configsync: the value %q is no YAML: %w; write text in quotes, such as '%s'", value, err,
			strconv.Quote(value))
	}
	if v.Kind == 0 && strings.Contains(value, "#") || v.Kind != 0 && commented(v.Content[0]) {
		return "", fmt.Errorf("configsync: a part of the value %s is a comment (#), as YAML is read: write it in "+
			"quotes, such as '%s'", value, strconv.Quote(value))
	}
	if v.Kind == 0 {
		return "", errors.New("configsync: the value is empty; " +
			`an empty text is '""', and null takes an entry of a map away`)
	}
	return editField(file, text, section, field, v.Content[0])
}

// commented reports whether there is a comment in a value.
func commented(n *yaml.Node) bool {
	return n.HeadComment+n.LineComment+n.FootComment != "" || slices.ContainsFunc(n.Content, commented)
}

// RemoveField returns the text of a YAML file without a field, so that a lower layer decides. It is as
// SetField otherwise; to remove what is not there is an error.
func RemoveField(file, text, section, field string) (string, error) {
	return editField(file, text, section, field, nil)
}

func editField(file, text, section, field string, v *yaml.Node) (string, error) {
	in, err := tree.ParsePath(field)
	if err != nil {
		return "", fmt.Errorf("configsync: %w", err)
	}
	if section != "" {
		in = append(tree.Path{"paths", section}, in...)
	}
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" {
		return "", fmt.Errorf("configsync: %s: single fields can be set in YAML files only: change a copy of it, and "+
			"put that (farmctl config put)", file)
	}
	if _, err := tree.Parse(file, []byte(text)); err != nil {
		return "", err
	}
	doc := yaml.Node{}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return "", fmt.Errorf("configsync: %s: %w", file, err)
	}
	if doc.Kind == 0 || doc.Content[0].Kind != yaml.MappingNode {
		comments := doc
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
		if comments.Kind != 0 { // nothing but comments
			doc.HeadComment = comments.HeadComment + comments.Content[0].HeadComment
		} else {
			doc.HeadComment = string(bytes.TrimSpace([]byte(text)))
		}
	}
	if !setIn(doc.Content[0], in, v) {
		return "", fmt.Errorf("configsync: %s does not set %s; farmctl config explain shows which files do", file, in)
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return "", fmt.Errorf("configsync: %s: %w", file, err)
	}
	return out.String(), nil
}

// setIn sets what is at a path below a map, or removes it for nil. It reports false if there is nothing to
// remove.
func setIn(m *yaml.Node, in tree.Path, v *yaml.Node) bool {
	i := slices.IndexFunc(m.Content, func(n *yaml.Node) bool { return n.Value == in[0] })
	for i >= 0 && i%2 == 1 { // that was a value
		next := slices.IndexFunc(m.Content[i+1:], func(n *yaml.Node) bool { return n.Value == in[0] })
		if next < 0 {
			i = -1
			break
		}
		i += 1 + next
	}
	switch {
	case i < 0 && v == nil:
		return false
	case i < 0:
		m.Content = append(m.Content, name(in[0]), &yaml.Node{Kind: yaml.MappingNode})
		i = len(m.Content) - 2
	}
	at := &m.Content[i+1]
	switch {
	case len(in) == 1 && v == nil:
		m.Content = slices.Delete(m.Content, i, i+2)
		return true
	case len(in) == 1:
		v.LineComment, v.HeadComment, v.FootComment = (*at).LineComment, (*at).HeadComment, (*at).FootComment
		*at = v
		return true
	case (*at).Kind != yaml.MappingNode && v == nil:
		return false
	case (*at).Kind != yaml.MappingNode:
		*at = &yaml.Node{Kind: yaml.MappingNode}
	}
	return setIn(*at, in[1:], v)
}

// name returns a name of a field, in quotes if it would be taken for something else.
func name(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}
