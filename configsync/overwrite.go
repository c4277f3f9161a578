package configsync

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// ErrOverwrites is what an OverwriteError is.
var ErrOverwrites = errors.New("configsync: changes of the configuration would be lost")

// OverwriteError says that a publication would undo what was changed in the farm after the publication before: its
// folder is of an earlier state of the configuration.
type OverwriteError struct {
	// Fields are what was changed since, and would be changed again: from Old, which is in force, to New. One without
	// Field is a whole file, whose path is Config: of another program, or one that this program cannot read.
	Fields []Difference
}

// mostNamed is how many fields an error names.
const mostNamed = 10

// Error names the fields.
func (e *OverwriteError) Error() string {
	var names []string
	for _, d := range e.Fields[:min(len(e.Fields), mostNamed)] {
		names = append(names, d.String())
	}
	if n := len(e.Fields) - mostNamed; n > 0 {
		names = append(names, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("%v, which were made since the last publication: %s", ErrOverwrites, strings.Join(names, "; "))
}

// Is reports whether the error is ErrOverwrites.
func (e *OverwriteError) Is(target error) bool { return target == ErrOverwrites }

// String returns a line such as "site: prices.tea: 1300 -> 1250".
func (d Difference) String() string {
	if d.Field == "" {
		return d.Config
	}
	where := d.Config
	for _, part := range []string{d.For, d.Section} {
		if part != "" {
			where += ", " + part
		}
	}
	none := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	return fmt.Sprintf("%s: %s: %s -> %s", where, d.Field, none(d.Old), none(d.New))
}

// Overwritten returns what a release that is kept, and was never in force, would undo of what was changed in the
// configuration after it was made, or by hand before that. It may have been tried: a rollout that was refused or taken
// back, and a canary that was given up, have put nothing in force. Of others it is nothing: who puts one of those in
// force again means to go back. Nor is it of the canary, since nothing is changed while there is one. Errors:
// ErrNoRelease.
func (m *Manager) Overwritten(release uint64) ([]Difference, error) {
	s := m.s.Local().State()
	r, ok := s.Release(release)
	if !ok || release == 0 {
		return nil, fmt.Errorf("%w: %d", ErrNoRelease, release)
	}
	was := slices.ContainsFunc(s.Epochs(), func(e Epoch) bool { return e.Release == release && !e.Failed })
	if was || s.Canary().Release == release {
		return nil, nil
	}
	return m.overwritten(s, filesOf(s, r.Revision)), nil
}

// overwritten returns what files would undo of what was changed since the last publication.
func (m *Manager) overwritten(s *state.State, files Files) []Difference {
	base, now := m.lastPublished(s), inForce(s)
	known := func(path string) bool { // this program says what is in it
		place, err := layer.Locate(path)
		return err == nil && slices.ContainsFunc(m.declared, func(d *declaration) bool { return d.name == place.Config })
	}
	since, err := m.DiffFiles(base, now)
	next, err2 := m.DiffFiles(now, files)
	readable := err == nil && err2 == nil
	out := wholeFiles(base, now, files, func(path string) bool { return !readable || !known(path) })
	if !readable {
		return out
	}
	for _, d := range next {
		if slices.ContainsFunc(since, d.samePlace) {
			out = append(out, d)
		}
	}
	for _, d := range m.unsaid(base, now, files) {
		if !slices.ContainsFunc(out, d.named) {
			out = append(out, d)
		}
	}
	return out
}

// place is where files say something: in which layer, and there of which field, or that it is locked.
type place struct {
	layer.Place
	section, field string
	locks          bool
}

// unsaid returns what files say alone that was changed from base to now, and again to next. It also finds what makes no
// difference for now, since another file says the same; and locks.
func (m *Manager) unsaid(base, now, next Files) (out []Difference) {
	was, is, will := m.said(base), m.said(now), m.said(next)
	all := maps.Clone(was)
	maps.Copy(all, is)
	for p := range all {
		if schema.Equal(was[p], is[p]) || schema.Equal(is[p], will[p]) {
			continue
		}
		d := Difference{Config: p.Config, Section: p.section, Field: p.field, Old: text(is[p]), New: text(will[p])}
		if p.Rank != layer.Global {
			d.For = p.Place.String()
		}
		if p.locks {
			d.Field = "lock of " + p.field
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Difference) int { return cmp.Compare(a.String(), b.String()) })
	return out
}

// said returns all that files say of the configs of this program.
func (m *Manager) said(files Files) map[place]*tree.Node {
	out := map[place]*tree.Node{}
	docs, _, _ := readAll(m.declared, files, m.opener().Lenient(), func(string) bool { return false })
	for _, d := range m.declared {
		for _, doc := range docs[d] {
			doc.Said(func(section string, in tree.Path, v *tree.Node) {
				out[place{doc.Place, section, in.String(), false}] = v
			}, func(in tree.Path) {
				out[place{doc.Place, "", in.String(), true}] = &tree.Node{Kind: tree.Bool, Text: "true"}
			})
		}
	}
	return out
}

// named reports whether a difference of one layer is one that shows on a kind of node.
func (d Difference) named(o Difference) bool {
	return d.samePlace(o) || d.For != "" && strings.HasPrefix(o.For, d.For+" ") && d.Config == o.Config &&
		d.Section == o.Section && d.Field == o.Field
}

// samePlace reports whether two differences are of one field.
func (d Difference) samePlace(o Difference) bool {
	return d.Config == o.Config && d.For == o.For && d.Section == o.Section && d.Field == o.Field
}

// wholeFiles returns the files that were changed from base to now, and again to next.
func wholeFiles(base, now, next Files, of func(path string) bool) (out []Difference) {
	all := maps.Clone(base)
	maps.Copy(all, now)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		text, there := now[path]
		was, before := base[path]
		will, after := next[path]
		if of(path) && (text != was || there != before) && (will != text || after != there) {
			out = append(out, Difference{Config: path})
		}
	}
	return out
}

// lastPublished returns the files of configuration that were published last, of what has led to the epoch in force;
// none, if nobody knows of such.
func (m *Manager) lastPublished(s *state.State) Files {
	epochs := s.Epochs()
	for n := len(epochs); n > 0; {
		id := epochs[n-1].Release
		first := slices.IndexFunc(epochs[:n], func(e Epoch) bool { return e.Release == id })
		r, _ := s.Release(id)
		before := Release{}
		if first > 0 {
			before, _ = s.Release(epochs[first-1].Release)
		}
		files := filesOf(s, r.Revision)
		// What was in force when the release was made is known only if that epoch is kept still.
		changed := r.Revision != before.Revision && (epochs[0].Number == 1 || id > epochs[0].Release)
		if r.Publisher != "" && (changed || m.cameWith(r, files)) {
			return files
		}
		n = first
	}
	return Files{}
}

// cameWith reports whether the content of a release was published together with these files.
func (m *Manager) cameWith(r Release, files Files) bool {
	signed, err := credential.Open(m.s.Farm, []byte(r.Content.Seal))
	return err == nil && signed.Config == credential.FilesHash(files)
}
