package e2e

import (
	"fmt"
	"testing"
)

// A fourth and a fifth node join a farm in use, vote, and leave for good; one of them may lead by then.
func TestGrowAndShrink(t *testing.T) {
	both(t, func(t *testing.T, durable bool) {
		f := newFarm(t, 5, durable)
		all := f.nodes
		f.nodes = all[:3]
		f.formTogether()
		l := f.load()
		l.mark()
		for _, n := range all[3:] {
			n.more = []string{"-leave"}
			n.start(n.others()...)
			n.awaitReady()
			l.send(n)
		}
		f.nodes = all
		f.settleUnderLoad()
		l.goOn()
		l.measured("growing to five")

		l.mark()
		for _, n := range all[3:] {
			n.stop()
		}
		f.nodes = all[:3]
		f.settleUnderLoad()
		for _, n := range f.nodes {
			f.until("the others have left", func() error { return n.votes(3) })
		}
		l.goOn()
		l.measured("shrinking to three")
		l.finish()
		if n := l.tally.cutOff(); n > 0 {
			t.Errorf("%d requests were cut off while nodes came and left in order", n)
		}
		f.end()
	})
}

// votes reports if not as many nodes vote, in the eyes of this one, or others hold the state without a vote.
func (n *node) votes(want int) error {
	v, err := n.look()
	if err != nil {
		return err
	}
	voters := 0
	for _, m := range v.Members {
		switch m.Role {
		case "voter":
			voters++
		case "nonvoter":
			return fmt.Errorf("%s has no vote, but holds the state: %+v", m.Name, v)
		}
	}
	if voters != want {
		return fmt.Errorf("%d voters: %+v", voters, v)
	}
	return nil
}
