package farm_test

import (
	"log"
	"os"
	"testing"

	_ "github.com/seed48eb2e21/webfarm/farm"
)

// TestStandardLogIsTheProgramsOwn guards against dependencies that redirect package log as soon as they are linked.
func TestStandardLogIsTheProgramsOwn(t *testing.T) {
	f, ok := log.Writer().(*os.File) // os.Stderr is another one where "go test -json" runs this
	if !ok || f.Name() != os.Stderr.Name() && f.Name() != "/dev/stderr" || log.Flags() != log.LstdFlags || log.Prefix() != "" {
		t.Errorf("importing farm makes package log write to %T, with flags %#x and prefix %q", log.Writer(), log.Flags(), log.Prefix())
	}
}
