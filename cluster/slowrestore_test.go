package cluster

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// slowRestore is a machine whose Restore takes its time, as that of a million sessions does.
type slowRestore struct {
	StateMachine
	takes    time.Duration
	restores *atomic.Int64
}

func (s *slowRestore) Restore(r io.Reader) error {
	time.Sleep(s.takes)
	s.restores.Add(1)
	return s.StateMachine.Restore(r)
}

func (s *slowRestore) State() []byte { return s.StateMachine.(stated).State() }

// Who joins a farm under full load gets ready, however long it takes to restore the state: the answer to a
// snapshot is waited for, and meanwhile the log is kept for whoever is sent it. What is kept is dropped after
// that.
//
// Slow: a restore that takes seconds is what it is about.
func TestJoinerRestoresSlowly(t *testing.T) {
	t.Parallel()
	const takes = 6 * time.Second
	for name, c := range map[string]struct {
		durable  bool
		snapshot int64 // SnapshotBytes
		restores int64
	}{
		"memory":  {false, 2 << 20, 1},
		"durable": {true, 2 << 20, 1},
		// While it restores, more is written than is kept for anybody at first.
		"more than is kept": {false, 1 << 20, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if race.Enabled && c.durable {
				t.Skip(onlyWaitedFor)
			}
			unformed(t, 3, c.durable, func(l *lab) {
				for i, n := range l.nodes {
					if i > 0 {
						n.conf.Join = []string{"10.0.0.1:7946"}
					}
					n.conf.Tuning.SnapshotBytes = c.snapshot
					if i < 2 {
						n.start()
					}
				}
				l.ready(l.nodes[:2]...)
				leader, _ := l.leader(l.nodes[:2]...)
				done := make(chan struct{})
				stop := make(chan struct{})
				defer func() {
					close(stop)
					<-done
				}()
				go func() { // 1 MB/s: three snapshots while one is restored
					defer close(done)
					for cmd := "noop " + strings.Repeat("x", 50<<10); ; time.Sleep(50 * time.Millisecond) {
						select {
						case <-stop:
							return
						default:
							leader.propose(20*time.Second, "%s", cmd)
						}
					}
				}()
				time.Sleep(8 * time.Second)
				var restores atomic.Int64
				late := l.nodes[2]
				late.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
					return &slowRestore{newKV(), takes, &restores}
				}}
				late.start()
				began := time.Now()
				if err := late.Ready(l.ctx(time.Minute)); err != nil {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if took := late.Stats().Snapshot.RestoreTook; took < takes || took > 2*takes {
					t.Errorf("its restore took %v, and it says %v", takes, took)
				}
				if n := restores.Load(); n != c.restores {
					t.Errorf("%d snapshots were restored, want %d", n, c.restores)
				}
				kept := leader.instance().storage.kept
				l.until(time.Minute, "what was kept is dropped", func() bool {
					first, _ := kept.FirstIndex()
					return kept.Size(first) < 2*2<<20
				})
			})
		})
	}
}
