package configsync

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// fieldsTakenBack returns the fields of configuration that files would take back: others have changed them since
// their publisher, that of next, has published configuration last, and the files have them as they were before that.
// As of files of the content, a third form is the publisher's own work. Files that this program cannot read do not
// count.
func (m *Manager) fieldsTakenBack(s *state.State, files Files, next Release) (out []Difference) {
	past := lineage(s)
	mine := func(r Release) bool { return r.Publisher != "" && samePublisher(s, r, next) }
	last := -1
	for i, r := range past {
		if mine(r) && (next.ID == 0 || r.ID < next.ID) && m.withConfig(s, past, i) {
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
	c, err := m.compareFields(filesOf(s, past[0].Revision), files, past[0])
	if err != nil {
		return nil
	}
	for _, r := range past[1:] {
		c.against(filesOf(s, r.Revision), r)
	}
	for i, d := range c.changes {
		if c.back[i] && !mine(c.since[i]) {
			out = append(out, d)
		}
	}
	return out
}

// fieldComparison is what a comparison is for files of the content, for fields.
type fieldComparison struct {
	m         *Manager
	now, mine Files
	changes   []Difference // from now to mine; what follows is of each of them
	since     []Release
	settled   []bool
	back      []bool
}

func (m *Manager) compareFields(now, mine Files, newest Release) (*fieldComparison, error) {
	changes, err := m.DiffFiles(now, mine)
	n := len(changes)
	return &fieldComparison{m, now, mine, changes, slices.Repeat([]Release{newest}, n), make([]bool, n), make([]bool, n)}, err
}

// against compares with something older, which is called with one after the other, the newest first.
func (c *fieldComparison) against(older Files, r Release) {
	toMine, err := c.m.DiffFiles(older, c.mine)
	toNow, err2 := c.m.DiffFiles(older, c.now)
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
