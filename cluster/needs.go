package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A node must never meet a state machine or a command that its program does not know: it would have to end.
// So each of them declares the protocol level that it needs (Config.Levels). What needs a level that is not
// in force does not get into the log.
//
// Two look at it. The node that proposes does so by what it has applied of the very log that it then sends
// to: if the level is in force there, the entry that raised it stands before everything that is still to
// come, and every member speaks it. The leader looks again, once its own term is open, at what other nodes
// sent. Neither has to hold anything still meanwhile: within one log a level only rises.

// needs returns the protocol level that a command needs.
func (c *Config) needs(machine string, cmd []byte) int {
	level := c.Levels[machine]
	if level == nil {
		return wire.LevelFirst
	}
	return max(level(nil), level(cmd))
}

// machineLevels returns the protocol level that each machine itself needs, of those that need one.
func (c *Config) machineLevels() map[string]int {
	out := map[string]int{}
	for name, level := range c.Levels {
		out[name] = level(nil)
	}
	return out
}

func (c *Config) validLevels(maxLevel byte) error {
	for _, name := range slices.Sorted(maps.Keys(c.Levels)) {
		switch level := c.Levels[name]; {
		case c.Machines[name] == nil:
			return fmt.Errorf("Levels[%q]: Machines has no state machine of that name", name)
		case level == nil:
			return fmt.Errorf("Levels[%q] is nil; it must say which protocol level a command needs", name)
		case level(nil) > int(maxLevel):
			return fmt.Errorf("the state machine %q needs protocol level %d; this program speaks up to %d",
				name, level(nil), maxLevel)
		}
	}
	return nil
}

// atLevel returns the Raft instance to which a command that needs a level may be given now. ErrLevel is
// certain: this node has by then applied all that was acknowledged before the call, and the level was not in
// force. A farm that is just forming is waited for: its level is raised before users may write.
func (rs *reads) atLevel(ctx context.Context, need int) (*instance, error) {
	for {
		in := rs.instance()
		if int(in.fsm.Level()) >= need {
			return in, nil
		}
		if err := rs.barrier(ctx); err != nil {
			return nil, err
		}
		if local := rs.local.Load(); local.Usable() && int(local.Level()) < need {
			return nil, errNeeds(need, local)
		}
		// a farm that forms, or an instance that takes another one's place, and is not as far yet
		if err := rs.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// admit is the leader's look at a batch of another node.
func (s *sequencer) admit(ctx context.Context, b *wire.Batch) error {
	need := wire.LevelFirst
	err := b.Each(func(machine, cmd []byte) { need = max(need, s.in.node.cfg.needs(string(machine), cmd)) })
	if err != nil || need <= int(s.in.fsm.Level()) {
		return err
	}
	if err := s.await(ctx); err != nil { // before that it may lack what was committed in earlier terms
		return err
	}
	if need > int(s.in.fsm.Level()) {
		return errNeeds(need, s.in.fsm)
	}
	return nil
}

func errNeeds(need int, f *replica.State) error {
	return fmt.Errorf("%w: level %d is needed, level %d is in force", ErrLevel, need, f.Level())
}

// newMachines makes the state machines anew, for one copy of the state.
func (c *Config) newMachines() map[string]replica.Machine {
	made := make(map[string]replica.Machine, len(c.Machines))
	for name, m := range c.Machines {
		made[name] = m()
	}
	return made
}
