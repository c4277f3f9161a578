package roster

import "errors"

// Gossip packets are sealed, but not numbered: whoever records one can send it again as long as the secret is
// the same. memberlist itself sees through an old packet of a run that it knows. It forgets one that is over
// after half a minute, and would take it for new from then on. A run that has said goodbye never comes back,
// since a process that starts is a run of its own: so the directory remembers it, and no news of it are
// believed any more. It remembers in memory only: a node that was started since may take the old run for
// alive for some seconds, until probes fail.
//
// Runs that died without a word are not among them, because nobody can tell them from those behind a cut
// line, which come back as they were. A packet of one of them brings it back for some seconds, until it has
// failed its probes.

// departedKept is how many runs are remembered: the latest, of some 100 bytes each. For a farm of a hundred
// nodes these are forty restarts of all of them. There is no time after which one could be forgotten, as a
// packet keeps; a new secret ends all packets of before.
const departedKept = 4096

// ErrDeparted is why gossip does not take in an old packet of a run that is over.
var ErrDeparted = errors.New("this run of the node has said goodbye, and a run does not come back; these " +
	"are old news of it")

// departed is a set of gossip names that forgets the oldest when it is full.
type departed struct {
	runs map[string]bool
	ring []string
	next int
}

func newDeparted() departed { return departed{runs: map[string]bool{}} }

func (d *departed) add(run string) {
	switch {
	case d.runs[run]:
		return
	case len(d.ring) < departedKept:
		d.ring = append(d.ring, run)
	default:
		delete(d.runs, d.ring[d.next])
		d.ring[d.next] = run
		d.next = (d.next + 1) % departedKept
	}
	d.runs[run] = true
}

// End notes that an operator has said of all runs of a node that were heard, and are not alive, that they
// are over.
func (d *Directory) End(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for run, s := range d.runs[node] {
		if s.Status != Alive {
			d.over.add(run)
		}
	}
}

// Over reports whether an operator has said of a run that it is over, and nobody has heard it since.
func (d *Directory) Over(run string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.heard[run]
	return d.over.runs[run] && (s == nil || s.Status != Alive)
}

// Departed reports whether a run has said goodbye.
func (d *Directory) Departed(run string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone.runs[run]
}
