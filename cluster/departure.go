package cluster

import "sync"

// departure is how far a node is on its way out of the farm, or down. Its steps, in their order; a node may
// skip some:
//
//	stays -> retires -> leaves -> dismissed
//
// From retires there is a way back. That it goes for good, was removed, or has lost what it held are facts
// beside these. The zero value stays.
type departure struct {
	mu     sync.Mutex
	facts  goodbye
	awaits string // what the stop waits for; "" = nothing

	inVain   bool // this node has waited for a relief, and none came
	saidLost bool // it has said that the farm has no majority without it
}

// goodbye is what there is to say of a departure at one moment.
type goodbye struct {
	retires bool // it will stop soon
	leaves  bool // it stops
	forGood bool // it leaves the farm, if it can
	// Leave has taken it out of the configuration, and what is in the data directory is to be forgotten
	removed   bool
	dismissed bool // the others go on without its vote
	over      bool // a member's Raft has ended, and its memory with it
	last      bool // this is the last that it says
}

// now returns what there is to say.
func (d *departure) now() goodbye {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.facts
}

// step changes what there is to say, and reports whether that is news.
func (d *departure) step(how func(*goodbye)) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.facts
	how(&d.facts)
	return d.facts != before
}

// stayOn takes back that the node retires, and reports whether that is news.
func (d *departure) stayOn() (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.facts.leaves {
		return false
	}
	news = d.facts.retires
	d.facts.retires, d.inVain, d.saidLost = false, false, false
	return news
}

// waitForRelief notes whether the stop waits for a relief, and which voters stay, for people. It
// reports whether it waited before.
func (d *departure) waitForRelief(text string, waits bool) (before bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.awaits = d.awaits != "", ""
	if waits {
		d.awaits = "a relief, since without this node the farm has no majority (" + text + ")"
	}
	return before
}

// awaited returns what the stop waits for; "" if for nothing.
func (d *departure) awaited() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.awaits
}

// giveUp notes that no relief came.
func (d *departure) giveUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inVain = true
}

// gaveUp reports whether the node has waited for a relief, and none came.
func (d *departure) gaveUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inVain
}

// noteLoss notes that it is said what the farm loses with this node, and reports whether that is the first
// time.
func (d *departure) noteLoss() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.saidLost
	d.saidLost = true
	return first
}

// going says how this node ends, "" if it goes on, and whether the others have let it go.
func (d *departure) going() (how string, dismissed bool) {
	bye := d.now()
	switch {
	case bye.forGood:
		how = "this node leaves for good"
	case bye.leaves:
		how = "this node stops"
	}
	return how, bye.removed || bye.dismissed
}
