package cluster

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A joiner's disk fails when the farm takes the joiner in. The joiner says so, and is taken in once the disk
// works again.
func TestJoinerCannotWrite(t *testing.T) {
	t.Parallel()
	unformed(t, 2, true, func(l *lab) {
		first, joiner := l.nodes[0], l.nodes[1]
		log := &lockedBuffer{}
		joiner.conf.Join, joiner.log = []string{first.conf.Listen}, slog.New(slog.NewTextHandler(log, nil))
		joiner.start()
		blocked := filepath.Join(joiner.conf.Dir, "identity.tmp")
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		first.start()
		l.ready(first)
		time.Sleep(time.Minute)
		if joiner.State().ClusterID != "" ||
			!strings.Contains(log.String(), "the data directory cannot be written") {
			t.Errorf("it has cluster ID %q, and says:\n%s", joiner.State().ClusterID, log)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		l.ready(l.nodes...)
	})
}
