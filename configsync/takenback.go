package configsync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// FileChange is a file of the content that somebody has changed, added or removed.
type FileChange struct {
	Path    string
	Release uint64 // that has done so
	Who     string // has published it
}

// String returns a line such as "public/index.html (release 7 by ann)".
func (c FileChange) String() string {
	if c.Who == "" {
		return fmt.Sprintf("%s (release %d)", c.Path, c.Release)
	}
	return fmt.Sprintf("%s (release %d by %s)", c.Path, c.Release, c.Who)
}

// mostTakenBack is how many files are found at most.
const mostTakenBack = 1000

// takenBack returns the files that a release would take back: others have changed them since its publisher has
// published last, and it has them as they were before that. A file that it has in a third form is its publisher's own
// work. One that nobody else has changed is no business of others. Contents of which this node has no manifest do not
// count.
//
// stranger reports whether the publisher has published none of what is kept, so that it is compared with all of that.
func (ow *overwrites) takenBack(s *state.State, next Release) (lost []FileChange, stranger bool) {
	past := contentLineage(s)
	if ow.settings.Content == nil || next.Content.Root.IsZero() || len(past) == 0 ||
		source(past[0].Content) == source(next.Content) {
		return nil, false
	}
	last := slices.IndexFunc(past, func(r Release) bool { // what came after a release that was kept, it cannot have known
		return samePublisher(s, r, next) && (next.ID == 0 || r.ID < next.ID)
	})
	if last == 0 {
		return nil, false
	}
	if last < 0 && begins(s) { // before the first release there was nothing
		past = append(past, Release{})
	}
	if last > 0 {
		past = past[:last+1]
	}
	mine, err := ow.supply.manifestHere(next.Content)
	now, err2 := ow.supply.manifestHere(past[0].Content)
	if err != nil || err2 != nil {
		ow.log.Debug("contents cannot be compared here", "release", past[0].ID, "err", cmp.Or(err, err2))
		return nil, false
	}
	open := newComparison(append(pathsOf(mine), pathsOf(now)...), inContent(mine), inContent(now), past[0])
	for i, r := range past[1:] {
		older, err := ow.supply.manifestHere(r.Content)
		if err != nil {
			ow.log.Debug("a release that is not kept any more cannot be compared", "release", r.ID, "err", err)
			continue
		}
		open.against(inContent(older), past[i+1])
	}
	return open.lost(func(r Release) bool { return !samePublisher(s, r, next) }), last < 0
}

// forms says what a file is in one state of all files: anything that is equal for files with the same bytes; "" = it is
// not there.
type forms func(path string) string

func pathsOf(m *content.Manifest) (paths []string) {
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	return paths
}

func inContent(m *content.Manifest) forms {
	return func(path string) string {
		if f, ok := m.Lookup(path); ok {
			return f.Hash.String()
		}
		return ""
	}
}

// comparison finds the files of mine that are other ones in now, and as they were in something older.
type comparison struct {
	mine, now forms
	since     map[string]Release // of each file that differs: what has brought its form in force, as far as is known
	settled   map[string]bool    // since is certain
	back      map[string]bool    // it is as it was in something older
}

// newComparison compares the files of paths, which may name a file twice.
func newComparison(paths []string, mine, now forms, newest Release) *comparison {
	c := &comparison{mine: mine, now: now, since: map[string]Release{}, settled: map[string]bool{},
		back: map[string]bool{}}
	for _, path := range paths {
		if mine(path) != now(path) {
			c.since[path] = newest
		}
	}
	return c
}

// against compares with something older, which is called with one after the other, the newest first.
func (c *comparison) against(older forms, r Release) {
	for path := range c.since {
		was := older(path)
		c.back[path] = c.back[path] || was == c.mine(path)
		c.settled[path] = c.settled[path] || was != c.now(path)
		if !c.settled[path] {
			c.since[path] = r
		}
	}
}

// lost returns what would be taken back of the releases of others, by path.
func (c *comparison) lost(others func(Release) bool) (out []FileChange) {
	for path, r := range c.since {
		if c.back[path] && others(r) && len(out) < mostTakenBack {
			out = append(out, FileChange{path, r.ID, r.Who})
		}
	}
	slices.SortFunc(out, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// publisherOf returns the name of who has published a release: that of its credential, as long as the farm knows it;
// else "".
func publisherOf(s *state.State, r Release) string {
	all := s.Credentials().All()
	i := slices.IndexFunc(all, func(c credential.Record) bool { return c.ID() == r.Publisher })
	if i < 0 {
		return ""
	}
	return all[i].Name
}

// samePublisher reports whether two releases are of the same publisher: of credentials of one name. Where the farm has
// forgotten one of those, the same person counts.
func samePublisher(s *state.State, a, b Release) bool {
	if a.Publisher == b.Publisher && a.Publisher != "" {
		return true
	}
	first, second := publisherOf(s, a), publisherOf(s, b)
	if first == "" || second == "" {
		return a.Who == b.Who && a.Who != ""
	}
	return first == second
}
