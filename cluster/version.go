package cluster

import (
	"runtime/debug"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// programVersion returns what this program was built from: the first twelve characters of the revision in
// version control, with "-dirty" behind it if files had changed since; the version of the main module if it
// was built without version control; "" if the build does not say.
var programVersion = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return versionOf(info)
})

// versionOf returns the version that info tells.
func versionOf(info *debug.BuildInfo) string {
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision != "" {
		return revision + dirty
	}
	if v := info.Main.Version; v != "(devel)" && len(v) <= roster.MaxVersion {
		return v
	}
	return ""
}
