package configsync

import (
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// fieldsTakenBack returns the fields of configuration that files would take back: others have changed them since
// their publisher, that of next, has published configuration last, and the files have them as they were before that.
// As of files of the content, a third form is the publisher's own work. Of files that this program cannot read, and of
// other programs' configs, it says only that they differ, as of files of the content.
func (ow *overwrites) fieldsTakenBack(s *state.State, files Files, next Release) (out []Difference) {
	past := lineage(s)
	mine := func(r Release) bool { return r.Publisher != "" && samePublisher(s, r, next) }
	last := -1
	for i, r := range past {
		if mine(r) && (next.ID == 0 || r.ID < next.ID) && ow.withConfig(s, past, i) {
			last = i
			break
		}
	}
	if last >= 0 {
		past = past[:last+1]
	} else if begins(s) { // before the first release there were the defaults
		past = append(past, Release{})
	}
	if len(past) < 2 {
		return nil
	}
	now := filesOf(s, past[0].Revision)
	c, err := ow.compareFields(now, files, past[0])
	paths := slices.AppendSeq(slices.Collect(maps.Keys(files)), maps.Keys(now))
	if err == nil {
		paths = slices.DeleteFunc(paths, ow.declares)
	}
	whole := newComparison(paths, inFiles(files), inFiles(now), past[0])
	for _, r := range past[1:] {
		older := filesOf(s, r.Revision)
		c.against(older, r)
		whole.against(inFiles(older), r)
	}
	for i, d := range c.changes {
		if c.back[i] && !mine(c.since[i]) {
			out = append(out, d)
		}
	}
	for _, f := range whole.lost(func(r Release) bool { return !mine(r) }) {
		out = append(out, Difference{Config: f.Path})
	}
	return out
}

func inFiles(files Files) forms {
	return func(path string) string {
		if text, ok := files[path]; ok {
			return "has " + text
		}
		return ""
	}
}

// declares reports whether this program says what is in a file of configuration.
func (ow *overwrites) declares(path string) bool {
	place, err := layer.Locate(path)
	return err == nil && slices.ContainsFunc(ow.declared, func(d *declaration) bool { return d.name == place.Config })
}

// fieldComparison is what a comparison is for files of the content, for fields.
type fieldComparison struct {
	reading   *reading
	now, mine Files
	changes   []Difference // from now to mine; what follows is of each of them
	since     []Release
	settled   []bool
	back      []bool
}

func (ow *overwrites) compareFields(now, mine Files, newest Release) (*fieldComparison, error) {
	changes, err := ow.reading.diffFiles(now, mine)
	n := len(changes)
	return &fieldComparison{reading: ow.reading, now: now, mine: mine, changes: changes,
		since: slices.Repeat([]Release{newest}, n), settled: make([]bool, n), back: make([]bool, n)}, err
}

// against compares with something older, which is called with one after the other, the newest first.
func (c *fieldComparison) against(older Files, r Release) {
	toMine, err := c.reading.diffFiles(older, c.mine)
	toNow, err2 := c.reading.diffFiles(older, c.now)
	if err != nil || err2 != nil {
		return
	}
	for i, d := range c.changes {
		c.back[i] = c.back[i] || !slices.ContainsFunc(toMine, d.within)
		c.settled[i] = c.settled[i] || slices.ContainsFunc(toNow, d.within)
		if !c.settled[i] {
			c.since[i] = r
		}
	}
}

// within reports whether a difference is of the field of another one, or goes without saying because of that.
func (d Difference) within(o Difference) bool {
	return d.Config == o.Config && d.Field == o.Field && (o.For == d.For || o.For == "") &&
		(o.Section == d.Section || o.Section == "")
}
