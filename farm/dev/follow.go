package dev

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"
)

const followEvery = 300 * time.Millisecond

// farmView and memberView are what a node says of the farm.
type farmView struct {
	Leader  string       `json:"leader"` // name; "" = none known
	Members []memberView `json:"members"`
}

type memberView struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Role    string `json:"role"`
	HTTP    string `json:"http"`
	Applied uint64 `json:"applied"`
}

// follow tells what changes in the farm, as the nodes that answer see it, until ctx ends.
func (l *launcher) follow(ctx context.Context) {
	last, _ := l.ask(ctx)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := l.ask(ctx)
		if err != nil {
			continue // a node that ended has been told of
		}
		for _, event := range changes(last, now) {
			select {
			case l.events <- event:
			case <-ctx.Done():
				return
			}
		}
		last = now
	}
}

// ask returns the farm's state from the first node that answers.
func (l *launcher) ask(ctx context.Context) (farmView, error) {
	var all []error
	for _, c := range l.nodes {
		v, err := askNode(ctx, c.http)
		if err == nil {
			return v, nil
		}
		all = append(all, err)
	}
	return farmView{}, errors.Join(all...)
}

func askNode(ctx context.Context, addr string) (v farmView, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/api/farm", nil)
	if err != nil {
		return v, err
	}
	res, err := client.Do(req)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return v, errors.New(res.Status)
	}
	return v, json.NewDecoder(res.Body).Decode(&v)
}

// changes says in words how now differs from before.
func changes(before, now farmView) (events []string) {
	was, is := byName(before.Members), byName(now.Members)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		m := is[name]
		old, known := was[name]
		switch {
		case !known:
			events = append(events, m.Name+" joined")
		case old.Status != m.Status:
			events = append(events, m.Name+" is "+m.Status)
		}
		if known && old.Role != m.Role && m.Role != "" {
			events = append(events, m.Name+" is a "+m.Role)
		}
	}
	switch {
	case before.Leader == now.Leader:
	case now.Leader == "":
		events = append(events, "no leader: carts can be read, not changed")
	default:
		events = append(events, now.Leader+" leads")
	}
	return events
}

// byName returns the members by their names. Of two that have one name, a former one and the one in its place or one that the
// farm refuses, the living one that votes counts.
func byName(members []memberView) map[string]memberView {
	all := make(map[string]memberView)
	for _, m := range members {
		if other, ok := all[m.Name]; !ok || rank(m) > rank(other) {
			all[m.Name] = m
		}
	}
	return all
}

func rank(m memberView) (r int) {
	if m.Status == "alive" {
		r += 2
	}
	if m.Role != "" {
		r++
	}
	return r
}
