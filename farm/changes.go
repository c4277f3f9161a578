package farm

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// changes returns how a content differs from the one in force, and with it the fields of the configuration that do. A
// nil content = that in force stays.
func (f *Farm) changes(next *content.Manifest, fields []configsync.Difference) *order.ReleaseChanges {
	out := &order.ReleaseChanges{Added: []string{}, Changed: []string{}, Removed: []string{}}
	out.Fields, _ = differences(fields, nil)
	if next == nil {
		return out
	}
	before := map[string]content.File{}
	if m := f.configs.View(f.done).Manifest; m != nil {
		for _, file := range m.Files {
			before[file.Path] = file
		}
	}
	for _, file := range next.Files {
		was, there := before[file.Path]
		delete(before, file.Path)
		switch {
		case !there:
			out.Added = append(out.Added, file.Path)
		case was.Hash != file.Hash || was.Exec != file.Exec:
			out.Changed = append(out.Changed, file.Path)
		}
	}
	for path := range before {
		out.Removed = append(out.Removed, path)
	}
	for _, paths := range []*[]string{&out.Added, &out.Changed, &out.Removed} {
		slices.Sort(*paths)
		if n := len(*paths) - order.MaxChanges; n > 0 {
			out.More, *paths = out.More+n, (*paths)[:order.MaxChanges]
		}
	}
	return out
}
