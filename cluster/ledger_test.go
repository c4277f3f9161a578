package cluster

import (
	"fmt"
	"sync"
)

// ledger is what the copies of a machine have applied, one command after the other, and notices when one of
// them has applied something else than another one. It knows nothing of what nodes say about each other, and
// of nothing but commands.
type ledger struct {
	mu    sync.Mutex
	lines []ledgerLine
	apart string // how two copies differ; "" = they do not
}

// ledgerLine is what the copy that came first applied as its command of that number.
type ledgerLine struct {
	who     string
	index   uint64
	chain   uint64 // over the indexes and commands up to here
	command string
}

// applied notes that somebody's copy, which has applied number commands, has just applied one.
func (l *ledger) applied(who string, number int, index, chain uint64, command []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := ledgerLine{who, index, chain, string(command)}
	switch i := number - 1; {
	case i < len(l.lines):
		if was := l.lines[i]; was.chain != chain && l.apart == "" {
			l.apart = fmt.Sprintf("replicas have applied different entries: as command %d %s has %q at "+
				"index %d, %s has %q at index %d",
				number, was.who, was.command, was.index, who, command, index)
		}
	case i == len(l.lines):
		l.lines = append(l.lines, is)
	default:
		l.apart = firstOf(l.apart, fmt.Sprintf("%s has applied command %d at index %d, and nobody the one "+
			"before", who, number, index))
	}
}

// differ says how two copies differ, "" if they do not.
func (l *ledger) differ() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apart
}

// differs notes how two copies differ, found by other means.
func (l *ledger) differs(how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apart = firstOf(l.apart, how)
}
