package cluster

import "slices"

// The leader divides its credit by max-min fairness. An origin that has more than half of its credit under
// way wants all that it can get, and any other one twice what it has under way. Who wants less than the
// others leaves them the rest. Whatever it wants it is given an equal share, so that one which begins to send
// much has that at once. What is given is twice the divided amount at most, and that only while hardly
// anybody uses the equal share.

// demand returns how much of all an origin could make use of, as it is now.
func (o *activity) demand(all load) load {
	return load{demand(o.taken.commands, o.given.commands, all.commands),
		demand(o.taken.bytes, o.given.bytes, all.bytes)}
}

func demand(taken, given, all int) int {
	if 2*taken > given {
		return all
	}
	return 2 * taken
}

// wants returns how much it could make use of, of late.
func (o *activity) wants() load { return o.most.max(o.before) }

// creditLocked returns what an origin may have under way.
func (i *intake) creditLocked(o *activity) load {
	n, all := len(i.origins), i.amountLocked()
	share := load{max(1, all.commands/n), max(1, all.bytes/n)}
	return share.max(o.wants().min(i.levelLocked()))
}

// levelLocked returns the most that an origin is given, however much it wants.
func (i *intake) levelLocked() load {
	if i.dated {
		i.dated = false
		var commands, bytes []int
		for _, o := range i.origins {
			w := o.wants()
			commands, bytes = append(commands, w.commands), append(bytes, w.bytes)
		}
		all := i.amountLocked()
		i.level = load{fairLevel(all.commands, commands), fairLevel(all.bytes, bytes)}
	}
	return i.level
}

// fairLevel returns the most that one of those gets who want so much each, when an amount is divided by
// max-min fairness: whoever wants less gets what it wants, and all others get as much as each other. It sorts
// wants.
func fairLevel(amount int, wants []int) int {
	slices.Sort(wants)
	for i, w := range wants {
		if left := len(wants) - i; w > amount/left || left == 1 {
			return amount / left
		}
		amount -= w
	}
	return amount
}
