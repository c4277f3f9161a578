package farm

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/session"
)

func TestExitCode(t *testing.T) {
	for want, errs := range map[int][]error{
		0: {nil},
		1: {errors.New("x"), ErrClosed, cluster.ErrDisk, cluster.ErrStalled, cluster.ErrMachine,
			cluster.ErrGap},
		75: {ErrRestart},
		78: {cluster.ErrNameTaken, cluster.ErrOtherFarm, cluster.ErrOtherKind, cluster.ErrVersion, cluster.ErrDamaged,
			cluster.ErrDiverged},
	} {
		for _, err := range errs {
			if err != nil {
				err = fmt.Errorf("farm: %w", err)
			}
			if got := ExitCode(err); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}

// What is wrong with a Config stays wrong, wherever it is found; a port that another process has may be free the next time.
func TestExitCode_Open(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "identity"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		code   int
	}{
		"the peer port is open to all": {Config{Peer: "0.0.0.0:0"}, 78},
		"a weak secret":                {Config{Secrets: []string{"hunter2"}}, 78},
		"a join that is no address":    {Config{Join: []string{"n1"}}, 78},
		"sessions without end":         {Config{Session: session.Config{Idle: time.Nanosecond}}, 78},
		"a port that cannot be":        {Config{HTTP: "127.0.0.1:99999"}, 78},
		"an address without a port":    {Config{HTTP: "localhost"}, 78},
		"a peer port that cannot be":   {Config{Peer: "127.0.0.1:99999"}, 78},
		"a damaged identity":           {Config{Dir: damaged}, 78},
		"a port that is taken":         {Config{HTTP: taken.Addr().String()}, 1},
	} {
		c.config.Logger = slog.New(slog.DiscardHandler)
		if c.config.HTTP == "" {
			c.config.HTTP = None
		}
		f, err := Open(c.config)
		if err == nil {
			f.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		if got := ExitCode(err); got != c.code || !strings.HasPrefix(err.Error(), "farm: ") {
			t.Errorf("%s: %d for %v, want %d", name, got, err, c.code)
		}
	}
}
