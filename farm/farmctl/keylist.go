package farmctl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
)

// keyList is the keys of a farm, as its members know them.
type keyList struct {
	Level   int          `json:"level"` // protocol level in force
	At      time.Time    `json:"at"`    // when the member that is the furthest said so, by its clock
	Keys    []listedKey  `json:"keys"`
	Unasked []unaskedKey `json:"not_asked"` // members of which is not known what they have
}

type listedKey struct {
	keyring.Info
	Lacking []string `json:"lacking"` // names of members that do not have it, though it is good for something
}

type unaskedKey struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// view is what one member says of the keys.
type view struct {
	name    string
	applied uint64
	at      time.Time
	keys    []keyring.Info
}

// keyList asks every member which keys it has.
func (c *call) keyList(ctx context.Context, client *admin.Client) (keyList, admin.Farm, error) {
	f, err := client.Farm(ctx)
	if err != nil {
		return keyList{}, f, err
	}
	var views []view
	list := keyList{Level: f.Level, Keys: []listedKey{}, Unasked: []unaskedKey{}}
	for _, m := range f.Members {
		v, err := viewOf(ctx, client, m)
		if err == nil {
			views = append(views, v)
		} else if m.Status != admin.Left && m.Vote != "" {
			list.Unasked = append(list.Unasked, unaskedKey{m.Name, err.Error()})
		}
	}
	if len(views) == 0 {
		return list, f, fmt.Errorf("no member of farm %s tells of its keys; the first says: %s", f.Name,
			append(list.Unasked, unaskedKey{Why: "there is none"})[0].Why)
	}
	list.merge(views)
	return list, f, nil
}

func viewOf(ctx context.Context, client *admin.Client, m admin.Member) (view, error) {
	if m.Status != admin.Alive {
		return view{}, fmt.Errorf("it is %s", m.Status)
	}
	s, err := client.At(m.Addr).Stats(ctx)
	if err != nil {
		return view{}, err
	}
	if s.Node != m.ID {
		return view{}, fmt.Errorf("another node answers at %s", m.Addr)
	}
	var p program.Stats
	if len(s.Program) == 0 || json.Unmarshal(s.Program, &p) != nil || p.Keys == nil {
		return view{}, fmt.Errorf("its program has no key ring, or does not tell: its version may be older")
	}
	return view{m.Name, s.Log.Applied, s.At, p.Keys}, nil
}

// merge takes the keys of the member that is the furthest, and says who lacks them.
func (l *keyList) merge(views []view) {
	best := slices.MaxFunc(views, func(a, b view) int { return cmp.Compare(a.applied, b.applied) })
	l.At = best.at
	for _, k := range best.keys {
		listed := listedKey{k, []string{}}
		for _, v := range views {
			has := slices.ContainsFunc(v.keys, func(i keyring.Info) bool {
				return i.Purpose == k.Purpose && i.ID == k.ID && i.Fingerprint == k.Fingerprint
			})
			if !has && k.Fingerprint != "" {
				listed.Lacking = append(listed.Lacking, v.name)
			}
		}
		l.Keys = append(l.Keys, listed)
	}
}

// of returns the keys of a purpose.
func (l *keyList) of(purpose string) (keys []listedKey) {
	for _, k := range l.Keys {
		if k.Purpose == purpose {
			keys = append(keys, k)
		}
	}
	return keys
}

// purposes returns all of them, in the order of the list.
func (l *keyList) purposes() (all []string) {
	for _, k := range l.Keys {
		if !slices.Contains(all, k.Purpose) {
			all = append(all, k.Purpose)
		}
	}
	return all
}

// pending returns the pending key of a purpose.
func (l *keyList) pending(purpose string) (listedKey, bool) {
	keys := l.of(purpose)
	i := slices.IndexFunc(keys, func(k listedKey) bool { return k.State == keyring.Pending })
	if i < 0 {
		return listedKey{}, false
	}
	return keys[i], true
}

// missing says of a key who does not have it, or may not, for people; "" if nobody.
func (l *keyList) missing(k listedKey) string {
	var all []string
	for _, name := range k.Lacking {
		all = append(all, printable(name))
	}
	for _, u := range l.Unasked {
		all = append(all, dash(u.Name)+" (not asked)")
	}
	return strings.Join(all, ", ")
}

func (l *keyList) print(w io.Writer) error {
	var rows [][]string
	for _, k := range l.Keys {
		rows = append(rows, []string{printable(k.Purpose), strconv.FormatUint(uint64(k.ID), 10), k.State.String(),
			dash(k.Fingerprint), age(l.At, k.Created), age(l.At, k.Signed), ending(l.At, k.Info),
			dash(strings.Join(k.Lacking, " "))})
	}
	head := []string{"PURPOSE", "KEY", "STATE", "FINGERPRINT", "CREATED", "SIGNS SINCE", "ENDS", "LACKED BY"}
	if err := table(w, head, rows); err != nil {
		return err
	}
	for _, u := range l.Unasked {
		fmt.Fprintf(w, "\n%s was not asked: %s", dash(u.Name), printable(u.Why))
	}
	if len(l.Unasked) > 0 {
		fmt.Fprintln(w)
	}
	if l.Level < keysLevel {
		fmt.Fprintf(w, "\nKeys change from protocol level %d on. The farm works at %d.\n", keysLevel, l.Level)
	}
	return nil
}

// keysLevel is the protocol level from which on keys change.
const keysLevel = 4

// age returns how long ago something was.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return rough(now.Sub(then)) + " ago"
}

// ending returns when a key ends or has ended.
func ending(now time.Time, i keyring.Info) string {
	switch {
	case i.Ended.IsZero():
		return "-"
	case i.Ended.After(now):
		return "in " + rough(i.Ended.Sub(now))
	}
	return age(now, i.Ended)
}

// rough returns a duration in its largest unit.
func rough(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", max(d, 0)/time.Second)
}
