package dev

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

const followEvery = 500 * time.Millisecond

// client returns one for the nodes' public ports.
func (l *launcher) client() *http.Client {
	return &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // on loopback, and all that is asked is whether it serves
	}}
}

func (l *launcher) url(c *child) string {
	if l.cfg.TLS {
		return "https://" + c.HTTP
	}
	return "http://" + c.HTTP
}

// ready reports whether the node serves.
func (l *launcher) ready(ctx context.Context, c *child) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url(c)+l.cfg.ReadyPath, nil)
	if err != nil {
		return false
	}
	res, err := l.http.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// view is the farm as one of its nodes sees it.
type view struct {
	leader  string // its name; "" = none known
	members map[string]member
}

type member struct{ status, vote string }

// ask returns the farm's state from the first node that answers.
func (l *launcher) ask(ctx context.Context) (view, error) {
	f, err := l.admin.Farm(ctx)
	if err != nil {
		return view{}, err
	}
	return viewOf(f), nil
}

// viewOf takes, of two members that have one name, a former one and the one in its place or one that the farm refuses, the
// living one that votes.
func viewOf(f admin.Farm) view {
	v := view{members: make(map[string]member)}
	for _, m := range f.Members {
		if m.Leader {
			v.leader = m.Name
		}
		now := member{m.Status, m.Vote}
		if other, ok := v.members[m.Name]; !ok || now.rank() > other.rank() {
			v.members[m.Name] = now
		}
	}
	return v
}

func (m member) rank() (r int) {
	if m.status == admin.Alive {
		r += 2
	}
	if m.vote != "" {
		r++
	}
	return r
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

// words says what a status means.
func words(status string) string {
	switch status {
	case admin.Alive:
		return "is there"
	case admin.Dead:
		return "does not answer"
	case admin.Stopped:
		return "has stopped"
	case admin.Left:
		return "has left"
	}
	return "is not known"
}

// changes says in words how now differs from before.
func changes(before, now view) (events []string) {
	for _, name := range slices.Sorted(maps.Keys(now.members)) {
		m := now.members[name]
		old, known := before.members[name]
		switch {
		case !known:
			events = append(events, name+" joined")
		case old.status != m.status:
			events = append(events, name+" "+words(m.status))
		}
		if known && old.vote != m.vote && m.vote != "" {
			events = append(events, name+" is a "+m.vote)
		}
	}
	switch {
	case before.leader == now.leader:
	case now.leader == "":
		events = append(events, "no leader: sessions can be read, not changed")
	default:
		events = append(events, now.leader+" leads")
	}
	return events
}
