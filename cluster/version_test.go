package cluster

import (
	"runtime/debug"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

func TestVersionOf(t *testing.T) {
	vcs := func(revision, modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision},
			{Key: "vcs.modified", Value: modified}}
	}
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for want, info := range map[string]debug.BuildInfo{
		"0123456789ab":       {Settings: vcs(revision, "false"), Main: debug.Module{Version: "v1.2.3"}},
		"0123456789ab-dirty": {Settings: vcs(revision, "true")},
		"012-dirty":          {Settings: vcs("012", "true")},
		"v1.2.3":             {Main: debug.Module{Version: "v1.2.3"}}, // from a module proxy
		"":                   {Main: debug.Module{Version: "(devel)"}},
	} {
		if got := versionOf(&info); got != want || len(got) > roster.MaxVersion {
			t.Errorf("%+v: %q, want %q", info, got, want)
		}
	}
	long := debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20260101000000-0123456789ab+incompatible"}}
	if got := versionOf(&long); got != "" {
		t.Errorf("a version that members cannot carry: %q", got)
	}
}
