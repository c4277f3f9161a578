package configsync

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Problem is one thing that is wrong with files, and where.
type Problem = tree.Problem

// Problems is an error: all that is wrong with a set of files, the first 50 of it.
type Problems = tree.Problems

// Check reports what is wrong with files, for every node that they could be for: a node that one of them is
// about, and one of each role that one is about. Each config is listed; a file of another one is wrong.
// Secrets stay sealed, so that a Validate that reveals one has no say. The error is a Problems.
func Check(files Files, configs ...Declared) error {
	ds, err := declarations(configs)
	if err != nil {
		return err
	}
	return check(ds, files, secret.Sealed(), nil, func(string) bool { return true })
}

// declarations returns what is declared, each name once.
func declarations(configs []Declared) ([]*declaration, error) {
	var out []*declaration
	for _, c := range configs {
		if c == nil || c.declared() == nil {
			return nil, errors.New("configsync: a config is listed that NewConfig has not made")
		}
		d := c.declared()
		switch other := find(out, d.name); other {
		case nil:
			out = append(out, d)
		case d: // it is listed twice, which does no harm
		default:
			return nil, fmt.Errorf("configsync: there are two configs called %q (%s and %s): give one of them "+
				"another name", d.name, other.where, d.where)
		}
	}
	return out, nil
}

// check does Check. o says what becomes of secrets; roles has the roles of nodes as far as they are known; mine says
// which files are to be of a config that is declared, and in a place for one.
func check(ds []*declaration, files Files, o secret.Opener, roles map[string]string,
	mine func(path string) bool) error {
	docs, unread, ps := readAll(ds, files, o, mine)
	size := 0
	for _, text := range files {
		size += len(text)
	}
	if size > state.MaxBytes || len(files) > state.MaxFiles {
		ps.Add(tree.Pos{}, "", "there are %d files with %d bytes; %d with %d are possible", len(files), size,
			state.MaxFiles, state.MaxBytes)
	}
	for _, d := range ds {
		if !unread[d] {
			ps = append(ps, d.checkAll(docs[d], roles)...)
		}
	}
	return ps.Err()
}

// find returns what is declared under a name; nil if nothing is.
func find(ds []*declaration, name string) *declaration {
	if i := slices.IndexFunc(ds, func(d *declaration) bool { return d.name == name }); i >= 0 {
		return ds[i]
	}
	return nil
}

// documents are the files of each config, taken apart.
type documents map[*declaration][]*layer.Document

// readAll reads the files of all declared configs. unread has those of which one cannot be read; mine is as for check.
func readAll(ds []*declaration, files Files, o secret.Opener, mine func(string) bool) (docs documents,
	unread map[*declaration]bool, ps Problems) {
	docs, unread = documents{}, map[*declaration]bool{}
	places := map[layer.Place]string{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		place, err := layer.Locate(path)
		d := find(ds, place.Config)
		switch first := places[place]; {
		case err != nil:
			if mine(path) {
				ps.Add(tree.Pos{File: path}, "", "%v", err)
			}
			continue
		case d == nil:
			if mine(path) {
				ps.Add(tree.Pos{File: path}, "", "%s", noConfig(place.Config, ds))
			}
			continue
		case first != "":
			ps.Add(tree.Pos{File: path}, "", "is the same layer of the same config as %s: take one of them away",
				first)
			continue
		}
		places[place] = path
		doc, wrong := layer.Read(d.typ, place, path, []byte(files[path]), o)
		if ps = append(ps, wrong...); doc != nil {
			docs[d] = append(docs[d], doc)
		} else {
			unread[d] = true
		}
	}
	return docs, unread, ps
}

func noConfig(name string, ds []*declaration) string {
	names := make([]string, len(ds))
	for i, d := range ds {
		names[i] = d.name
	}
	if near := tree.Nearest(name, names); near != "" {
		return fmt.Sprintf("this program has no config %q; did you mean %s?", name, near)
	}
	if len(names) == 0 {
		return fmt.Sprintf("this program has no config %q, nor any other", name)
	}
	return fmt.Sprintf("this program has no config %q; it has: %s", name, strings.Join(names, ", "))
}

// checkAll checks what every kind of node would get.
func (d *declaration) checkAll(docs []*layer.Document, roles map[string]string) (ps tree.Problems) {
	for _, t := range targets(docs, roles) {
		_, wrong := d.value(layer.For(docs, t.node, t.role))
		for _, p := range wrong {
			if slices.Contains(ps, p) {
				continue
			}
			if s := t.String(); s != "" {
				p.Text += " (for " + s + ")"
			}
			ps = append(ps, p)
		}
	}
	return ps
}
