package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// audit asks every node for every session of this browser, and returns what is not as it was promised.
func (b *browser) audit() error {
	b.leave()
	var broken []error
	for _, v := range b.past {
		for _, n := range b.load.farm.nodes {
			if err := b.check(v, n); err != nil {
				broken = append(broken, fmt.Errorf("%s, at the end on %s: %w", b.name, n.name, err))
			}
		}
	}
	return errors.Join(broken...)
}

// check compares one session, as a node shows it, with what was promised.
func (b *browser) check(v *visit, n *node) error {
	if len(v.cookies) == 0 {
		return nil // there never was one
	}
	count, err := b.get(v, n, "/api/count").count()
	if err != nil {
		return err
	}
	items, err := b.get(v, n, "/api/cart").items()
	if err != nil {
		return err
	}
	if v.doubt && count == 0 {
		v.ended, v.doubt = time.Now(), false
	}
	if !v.ended.IsZero() {
		return b.checkEnded(v, n, count, items)
	}
	broken := []error{v.count.show(count), v.showCart(items)}
	for _, r := range v.values {
		got, err := b.get(v, n, "/api/kv/"+r.key).value()
		if err == nil {
			err = r.show(got)
		}
		broken = append(broken, err)
	}
	return errors.Join(broken...)
}

func (b *browser) checkEnded(v *visit, n *node, count int, items map[string]int) error {
	if count != 0 || len(items) != 0 {
		return fmt.Errorf("an ended session shows count %d and cart %v", count, items)
	}
	for _, r := range v.values {
		if a := b.get(v, n, "/api/kv/"+r.key); a.status != http.StatusNotFound {
			return fmt.Errorf("an ended session shows %s: %d %s", r.key, a.status, a.body)
		}
	}
	return nil
}

// get reads something of a session from one node, and asks again while that cannot tell.
func (b *browser) get(v *visit, n *node, path string) (a answer) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if a = b.ask(b.bare, n, http.MethodGet, path, "", v.cookies...); a.outcome == done {
			break
		}
		sleep.For(b.load.farm.t.Context(), retryTime)
	}
	return a
}
