package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// shop returns the path of the program that all tests run, which is built once.
var shop = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(folder, "shop")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	args := []string{"build", "-buildvcs=false", "-o", bin} // git may refuse to look at the tree, if somebody else owns it
	if race.Enabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../../examples/shop")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, os.Chmod(bin, 0o755) // whatever the umask: one test runs it as another user
})

// folder is where the program is.
var folder string

func TestMain(m *testing.M) {
	if os.Getenv(holderEnv) != "" {
		os.Exit(holder())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	beside := 2 // scenarios wait, mostly
	if race.Enabled {
		beside = 1 // their nodes work for many times as long, and a farm whose nodes starve keeps no leader
	}
	ci.Beside(beside)
	d, err := tempdir.Make("webfarm-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer d.Remove()
	folder = d.Path()
	go starter()
	return ci.Main(m)
}

// starts are the processes to be started by starter.
var starts = make(chan start)

type start struct {
	cmd *exec.Cmd
	err chan error
}

// starter starts all processes, on a thread of its own that lives as long as the tests: Linux kills the processes with
// the thread that started them.
func starter() {
	runtime.LockOSThread()
	for s := range starts {
		s.err <- s.cmd.Start()
	}
}
