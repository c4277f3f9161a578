package ci

import (
	"fmt"
	"os"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// Main runs the tests of a package for its TestMain, and returns the exit code. Temporary files are in a folder of
// their own meanwhile, also those of processes that the tests start: it is removed in the end, with what killed
// processes have left in it. Where the tests themselves are killed, the next ones do that.
func Main(m *testing.M) int {
	d, err := tempdir.Make("webfarm-test")
	if err == nil {
		defer d.Remove()
		err = os.Chmod(d.Path(), 0o711) // programs that run as other users, such as nginx, get to what they are told of
	}
	for _, name := range []string{"TMPDIR", "TMP"} { // the second is of Windows
		if err == nil {
			err = os.Setenv(name, d.Path())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
