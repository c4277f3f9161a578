package once

import (
	"testing"
	"time"
)

// A watch goes on when this node's copy lacks the one who is watched for a moment: it is filled anew.
func TestWatchGoesOn(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		l.lock(a, "x")
		l.lock(b, "y")
		time.Sleep(time.Minute)
		whole := b.machine.Load()
		l.change(func() { b.machine.Store(NewMachine(new(News))); b.cut = true })
		time.Sleep(3 * lookEvery / 2)
		l.change(func() { b.machine.Store(whole); b.cut = false })
		time.Sleep(challengeEvery + time.Second)
		l.cut(a)
		began := time.Now()
		l.lock(b, "x")
		if took := time.Since(began); took > 4*Patience {
			t.Errorf("it was free %v after its holder was cut off", took)
		}
	})
}
