package state

import (
	"maps"
	"slices"
)

// owner is one run of one node's program.
type owner struct {
	Owner
	tickets map[uint64]string // name of the lock that each stands for, held or waiting
}

// Owner is what the farm knows of one run of one node's program.
type Owner struct {
	ID   string
	Node string // its name, for people

	Suspicion uint64 // the log index of a suspicion that was not refuted; 0 = none
	Refuted   uint64 // how many suspicions it has refuted
}

// Register makes an owner. One that exists stays as it is. An ID is never used again when its owner has
// ended.
//
// Answers: OK; Full.
type Register struct{ ID, Node string }

func (c Register) apply(s *step) Answer {
	if _, ok := s.owners[c.ID]; ok {
		return Answer{Code: OK}
	}
	if len(s.owners) >= MaxOwners {
		return Answer{Code: Full}
	}
	s.owners[c.ID] = &owner{Owner: Owner{ID: c.ID, Node: c.Node}, tickets: map[uint64]string{}}
	s.tellOwner(c.ID)
	return Answer{Code: OK}
}

// Suspect raises the suspicion that an owner has ended. The owner refutes it as soon as it hears of it. A
// suspicion that is there already stays, and is the answer.
//
// Answers: OK with the suspicion's index in Fence; Gone.
type Suspect struct{ ID string }

func (c Suspect) apply(s *step) Answer {
	o := s.owners[c.ID]
	if o == nil {
		return Answer{Code: Gone}
	}
	if o.Suspicion == 0 {
		o.Suspicion = s.index
		s.tellOwner(c.ID)
	}
	return Answer{Code: OK, Fence: o.Suspicion}
}

// Refute takes a suspicion back: the owner is there.
//
// Answers: OK; Gone.
type Refute struct{ ID string }

func (c Refute) apply(s *step) Answer {
	o := s.owners[c.ID]
	if o == nil {
		return Answer{Code: Gone}
	}
	if o.Suspicion != 0 {
		o.Suspicion = 0
		o.Refuted++
		s.tellOwner(c.ID)
	}
	return Answer{Code: OK}
}

// Expire ends an owner which has not refuted a suspicion. Whoever proposes it has waited for as long as an
// owner may be sure of itself (Patience), since it had the answer to Suspect.
//
// Answers: OK; Lost if it is another suspicion or none; Gone.
type Expire struct {
	ID        string
	Suspicion uint64
}

func (c Expire) apply(s *step) Answer {
	o := s.owners[c.ID]
	switch {
	case o == nil:
		return Answer{Code: Gone}
	case o.Suspicion == 0 || o.Suspicion != c.Suspicion:
		return Answer{Code: Lost}
	}
	s.end(o)
	return Answer{Code: OK}
}

// End ends an owner at once: it says so itself, or it is certain that its process is over.
//
// Answers: OK; Gone.
type End struct{ ID string }

func (c End) apply(s *step) Answer {
	o := s.owners[c.ID]
	if o == nil {
		return Answer{Code: Gone}
	}
	s.end(o)
	return Answer{Code: OK}
}

// end gives all that an owner holds to those who wait.
func (s *step) end(o *owner) {
	delete(s.owners, o.ID)
	s.dropAll(o)
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		s.quit(name, o)
	}
	s.tellOwner(o.ID)
}
