package e2e

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/proxy"
)

// cutOffTime is how long a part of the farm is out of reach, at least: as long as anybody waits for anything on the
// network. A node in memory that is missing for half a minute would be given up.
const cutOffTime = 5 * time.Second

// The leader is cut off from the others, but not from its visitors. It must not acknowledge a write that gets lost.
func TestPartitionLeader(t *testing.T) {
	both(t, func(t *testing.T, durable bool) {
		f := apart(t, 3, durable)
		f.formTogether()
		l := f.load()
		f.cutOff(l, "the leader is cut off", cut, cut)
		l.finish()
		f.noStrangers()
		f.end()
	})
}

// The leader's words reach the others, theirs do not reach it; then the other way round.
func TestPartitionOneWay(t *testing.T) {
	plain(t)
	scenario(t)
	f := apart(t, 3, true)
	f.formTogether()
	l := f.load()
	f.cutOff(l, "the leader is deaf", proxy.Link{}, cut)
	f.cutOff(l, "the leader is dumb", cut, proxy.Link{})
	l.finish()
	f.noStrangers()
	f.end()
}

// A fifth of all packets is lost on a slow network with thin lines.
func TestLossAndDelay(t *testing.T) {
	plain(t)
	scenario(t)
	f := apart(t, 3, false)
	f.formTogether()
	l := f.load()
	l.strike(func() { f.worse(proxy.Link{Loss: 0.2, Delay: 50 * time.Millisecond, Rate: 128 << 10}) })
	f.hold(cutOffTime)
	l.more(20)
	l.measured("loss, delay and thin lines")
	f.net.Heal()
	f.settleUnderLoad()
	l.finish()
	f.noStrangers()
	f.end()
}

// cutOff makes the leader's links to and from the others bad for a while; those go on, and all find each other again.
func (f *farm) cutOff(l *load, what string, out, in proxy.Link) {
	f.t.Helper()
	n := f.leader()
	l.strike(func() { f.links(n, out, in) })
	begin := time.Now()
	l.more(20) // visitors that are sent to the leader wait in vain
	l.measured(what)
	f.hold(cutOffTime - time.Since(begin))
	l.mark()
	f.net.Heal()
	f.settleUnderLoad()
	l.goOn()
	l.measured("healed")
}

// hold waits for a time to pass, in which the farm has to bear something.
func (f *farm) hold(d time.Duration) {
	select {
	case <-time.After(d):
	case <-f.t.Context().Done():
	}
}
