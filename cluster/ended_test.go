package cluster

import (
	"testing"
	"time"
)

// awaited waits for the end of a run as a node sees it, in the background.
func (l *lab) awaited(n *labNode, run string) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- n.AwaitEnd(l.ctx(time.Hour), run) }()
	return ended
}

// The end of a process is known at once when it was killed or said goodbye, and when another one has its
// place.
// Slow: six farms, with and without disks.
func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(l *lab, n *labNode){
		"killed":    func(_ *lab, n *labNode) { n.kill() },
		"stopped":   func(_ *lab, n *labNode) { n.stop() },
		"restarted": func(_ *lab, n *labNode) { n.kill(); n.start() },
	} {
		for _, durable := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inLab(t, 3, durable, func(l *lab) {
					run := l.nodes[2].Run()
					ended := l.awaited(l.nodes[1], run)
					time.Sleep(time.Minute)
					if !l.nodes[1].Running(run) || len(ended) > 0 {
						t.Fatal("it runs, and does not")
					}
					end(l, l.nodes[2])
					l.until(10*time.Second, "its end is known", func() bool { return len(ended) > 0 })
					if err := <-ended; err != nil {
						t.Error(err)
					}
					if name == "stopped" { // it has said so: nobody there has to refuse connections
						l.cut(l.nodes[2])
						if err := l.nodes[0].AwaitEnd(l.ctx(time.Second), run); err != nil {
							t.Errorf("its machine is switched off: %v", err)
						}
					}
					if name == "restarted" && durable {
						if err := l.nodes[2].AwaitEnd(l.ctx(time.Second), run); err != nil {
							t.Errorf("its own earlier run: %v", err)
						}
					}
				})
			})
		}
	}
}

// A node that is cut off has not ended, whatever gossip says.
// Slow: three durable nodes live for the ten minutes that it is waited for.
func TestAwaitEndOfOneCutOff(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		n := l.nodes[2]
		l.cut(n)
		if err := l.nodes[0].AwaitEnd(l.ctx(10*time.Minute), n.Run()); err == nil || l.nodes[0].Running(n.Run()) {
			t.Errorf("%v; running %v", err, l.nodes[0].Running(n.Run()))
		}
	})
}

// A node has said that it is stopping, and is cut off before it says goodbye. It has not ended either. When
// it is back, it counts as before.
func TestAwaitEndOfOneCutOffWhileItStops(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		n := l.nodes[2]
		run := n.Run()
		n.stopping.sayLeaving()
		l.until(time.Minute, "all know that it stops", func() bool {
			return l.nodes[0].directory.Run(run).Leaving && l.nodes[1].directory.Run(run).Leaving
		})
		l.cut(n)
		if err := l.nodes[0].AwaitEnd(l.ctx(time.Minute), run); err == nil || l.nodes[0].Running(run) {
			t.Errorf("%v; running %v", err, l.nodes[0].Running(run))
		}
		l.net.Heal()
		l.until(time.Minute, "it is heard again", func() bool { return l.nodes[0].Running(run) })
		ended := l.awaited(l.nodes[0], run)
		n.stop()
		l.until(10*time.Second, "its end is known", func() bool { return len(ended) > 0 })
	})
}
