package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A log is given up, because it is damaged or because the state it led to is wrong, only if nothing is lost
// with it: a majority of all voters, that node not counted, has stored whatever it may have acknowledged.
// That they follow the leader does not show it. One that is far behind on a thin line does, and so does one
// whose disk hangs.

// stored says how far the log of a voter goes, as it is on its disk.
type stored struct {
	term     uint64 // that the voter is in
	last     uint64 // index of the last entry
	lastTerm uint64 // and its term
}

func (s stored) append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(dst, s.term), s.last), s.lastTerm)
}

func parseStored(b []byte) (stored, error) {
	r := wire.NewReader(b)
	s := stored{term: r.Uvarint(), last: r.Uvarint(), lastTerm: r.Uvarint()}
	return s, r.End()
}

var errBehind = errors.New("its log does not go that far")

// proving shows that nothing is lost with a log.
type proving struct {
	*tenure
	confirming *confirming
}

// quorumWithout returns nil if a majority of all voters has stored this leader's log, as it is now, and is in
// its term. The server is not counted. If counts is not nil, nor is a voter of which it says no. Entries that
// are not committed yet belong to the log too: the server may have stored them, and said so, and its answer
// may be on its way.
func (p *proving) quorumWithout(server string, counts func(voter string) bool) error {
	_, last, err := p.in.storage.lastEntry()
	if err != nil {
		return err
	}
	return p.confirming.majority(func(ctx context.Context, voter string) error {
		if voter == server || counts != nil && !counts(voter) {
			return wire.ErrNotMe
		}
		for {
			s, err := p.askStored(ctx, voter)
			if err == nil {
				err = p.holds(s, last)
			}
			if !errors.Is(err, errBehind) || !sleep.For(ctx, 20*time.Millisecond) { // entries may be on their way
				return err
			}
		}
	})
}

// holds returns nil if a voter has the leader's log up to an index. If its last entry is of this term, it got
// that from this leader, with everything before. An entry of an earlier term says nothing about those before
// it.
func (p *proving) holds(s stored, index uint64) error {
	if err := p.stillMine(s.term); err != nil {
		return err
	}
	if s.lastTerm != p.term || s.last < index {
		return fmt.Errorf("%w: it ends with entry %d of term %d, and entry %d of term %d is needed",
			errBehind, s.last, s.lastTerm,
			index, p.term)
	}
	return nil
}

// askStored asks a voter how far its log goes. A program that does not know the question counts as one that
// has nothing.
func (p *proving) askStored(ctx context.Context, voter string) (stored, error) {
	n := p.in.node
	if voter == p.in.server {
		return p.in.storage.stored()
	}
	if s := n.directory.Get(wire.NodeOf(voter)); s == nil || s.MaxProtocol < wire.LevelSafety {
		return stored{}, fmt.Errorf("%w: it cannot be asked how far its log goes", ErrVersion)
	}
	out, _, err := n.peers.Call(ctx, wire.NodeOf(voter), wire.MethodStored, []byte(voter))
	if err != nil {
		return stored{}, err
	}
	return parseStored(out)
}
