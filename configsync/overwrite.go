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
var ErrOverwrites = errors.New("configsync: changes of others would be lost")

// OverwriteError says that a publication would undo what others have changed in the farm: its folder is of an earlier
// state.
type OverwriteError struct {
	// Fields are what was changed since, and would be changed again: from Old, which is in force, to New. What was
	// published by others counts if the folder has it as it was before. One without Field is a whole file, whose path is
	// Config: of another program, or one that this program cannot read.
	Fields []Difference

	// Files are those of the content that others have changed since its publisher has published last, and that the
	// folder has as they were before.
	Files []FileChange

	// Stranger is the publisher's name, if none of the releases that are kept is his, so that Files may be of all of
	// them; "" = he has published before.
	Stranger string
}

// mostNamed is how many fields, and how many files, an error names.
const mostNamed = 10

// Error names the fields and the files.
func (e *OverwriteError) Error() string {
	names := append(named(e.Fields), named(e.Files)...)
	text := fmt.Sprintf("%v, which were made since the last publication: %s", ErrOverwrites, strings.Join(names, "; "))
	if e.Stranger != "" {
		text += fmt.Sprintf("; nothing that is kept was published by %q: who has published under another name before gives "+
			"that (farmctl publish -as)", e.Stranger)
	}
	return text
}

// named returns what an error says of changes.
func named[T fmt.Stringer](all []T) (names []string) {
	for _, one := range all[:min(len(all), mostNamed)] {
		names = append(names, one.String())
	}
	if n := len(all) - mostNamed; n > 0 {
		names = append(names, fmt.Sprintf("and %d more", n))
	}
	return names
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

// Overwritten returns what a release that is kept, and was never in force, would undo of what others have changed after
// it was made, or before that; nil for nothing. It may have been tried: a rollout that was refused or taken
// back, and a canary that was given up, have put nothing in force. Of others it is nothing: who puts one of those in
// force again means to go back. Nor is it of the canary, since nothing is changed while there is one. Errors:
// ErrNoRelease.
func (m *Manager) Overwritten(release uint64) (*OverwriteError, error) {
	s := m.state()
	r, ok := s.Release(release)
	if !ok || release == 0 {
		return nil, noRelease(release)
	}
	was := slices.ContainsFunc(s.Epochs(), func(e Epoch) bool { return e.Release == release && !e.Failed })
	if was || s.Canary().Release == release {
		return nil, nil
	}
	return m.overwrites.wouldUndo(s, filesOf(s, r.Revision), r), nil
}

// overwrites finds what a release would undo of what others have changed.
type overwrites struct {
	*base
	reading *reading
	supply  *supply
}

// wouldUndo returns what a release with these files of configuration would undo of what others have changed; nil for
// nothing. What of it stays as it is may be zero.
func (ow *overwrites) wouldUndo(s *state.State, files Files, r Release) *OverwriteError {
	e := &OverwriteError{}
	var stranger bool
	if e.Files, stranger = ow.takenBack(s, r); stranger && len(e.Files) > 0 {
		e.Stranger = cmp.Or(publisherOf(s, r), r.Who)
	}
	if files != nil {
		e.Fields = ow.overwritten(s, files)
		for _, d := range ow.fieldsTakenBack(s, files, r) {
			if !slices.ContainsFunc(e.Fields, d.named) {
				e.Fields = append(e.Fields, d)
			}
		}
	}
	if len(e.Fields)+len(e.Files) == 0 {
		return nil
	}
	return e
}

// overwritten returns what files would undo of what was changed since the last publication.
func (ow *overwrites) overwritten(s *state.State, files Files) []Difference {
	published, now := ow.lastPublished(s), inForce(s)
	since, err := ow.reading.diffFiles(published, now)
	next, err2 := ow.reading.diffFiles(now, files)
	readable := err == nil && err2 == nil
	out := wholeFiles(published, now, files, func(path string) bool { return !readable || !ow.declares(path) })
	if !readable {
		return out
	}
	for _, d := range next {
		if slices.ContainsFunc(since, d.samePlace) {
			out = append(out, d)
		}
	}
	for _, d := range ow.unsaid(published, now, files) {
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
func (ow *overwrites) unsaid(base, now, next Files) (out []Difference) {
	was, is, will := ow.said(base), ow.said(now), ow.said(next)
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
func (ow *overwrites) said(files Files) map[place]*tree.Node {
	out := map[place]*tree.Node{}
	docs, _ := ow.reading.readLenient(files)
	for _, d := range ow.declared {
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
func (ow *overwrites) lastPublished(s *state.State) Files {
	past := lineage(s)
	for i, r := range past {
		if ow.withConfig(s, past, i) {
			return filesOf(s, r.Revision)
		}
	}
	return Files{}
}

// withConfig reports whether a release of a lineage was published, and its files of configuration with it.
func (ow *overwrites) withConfig(s *state.State, past []Release, i int) bool {
	r, before := past[i], Release{}
	if i+1 < len(past) {
		before = past[i+1]
	}
	// What was in force when the release was made is known only if that epoch is kept still.
	changed := r.Revision != before.Revision && (begins(s) || r.ID > s.Epochs()[0].Release)
	return r.Publisher != "" && (changed || ow.cameWith(r, filesOf(s, r.Revision)))
}

// cameWith reports whether the content of a release was published together with these files.
func (ow *overwrites) cameWith(r Release, files Files) bool {
	signed, err := credential.Open(ow.settings.Farm, []byte(r.Content.Seal))
	return err == nil && signed.Config == credential.FilesHash(files)
}
