package e2e

import "testing"

// All nodes end, and come back at other addresses. Of those they are told, one is current.
func TestMoveAll(t *testing.T) {
	plain(t)
	scenario(t)
	test := func(t *testing.T, end func(f *farm)) {
		t.Parallel()
		f := formed(t, true)
		l := f.load()
		l.strike(func() { end(f) })
		old := f.nodes[0].others()
		for _, n := range f.nodes {
			n.move()
		}
		f.nodes[0].start(old...)
		for _, n := range f.nodes[1:] {
			n.start(append(old, f.nodes[0].peer)...)
		}
		f.settleUnderLoad()
		l.goOn()
		l.measured("all gone")
		l.finish()
		f.stop()
	}
	t.Run("stopped", func(t *testing.T) { test(t, (*farm).stop) })
	t.Run("killed", func(t *testing.T) {
		test(t, func(f *farm) {
			for _, n := range f.nodes {
				n.kill()
			}
		})
	})
}
