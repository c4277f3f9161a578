package e2e

import (
	"fmt"
	"net/http"
	"time"
)

// visit is what a browser knows of one session: what it was promised, and what it has seen.
type visit struct {
	count   tally
	cart    map[string]*tally
	values  []*register
	cookies []*http.Cookie // that name it
	ended   time.Time      // when its end was acknowledged; zero = not
	doubt   bool           // whether it has ended is not known
}

func newVisit() *visit { return &visit{cart: make(map[string]*tally)} }

// tally is a number that only grows, by one at a time.
type tally struct {
	acked, uncertain int // additions
	seen             int // the greatest number shown
}

// show judges a number that a node has shown.
func (n *tally) show(got int) error {
	if got < max(n.acked, n.seen) || got > n.acked+n.uncertain {
		return fmt.Errorf("%d is shown, after %d acknowledged and %d uncertain additions and a sight of %d",
			got, n.acked, n.uncertain, n.seen)
	}
	n.seen = got
	return nil
}

// added judges the number that came with an acknowledged addition.
func (n *tally) added(got int) error {
	before := n.seen
	n.acked++
	if err := n.show(got); err != nil {
		return err
	}
	if got == before {
		return fmt.Errorf("%d after an addition, and before it", got)
	}
	return nil
}

// register is a value under a key, which only ever grows, and of which no more is written after an uncertain write.
type register struct {
	key   string
	value int // acknowledged or seen; 0 = none
	maybe int // of an uncertain write, until it is seen; 0 = none
	given bool
}

// show judges a value that a node has shown; 0 = none.
func (r *register) show(got int) error {
	switch {
	case got == r.value:
	case got == r.maybe && got != 0:
		r.value, r.maybe = got, 0
	default:
		return fmt.Errorf("%s is %d, after an acknowledged write or a sight of %d and an uncertain write of %d",
			r.key, got, r.value, r.maybe)
	}
	return nil
}

// register returns the one to write to.
func (v *visit) register() *register {
	if n := len(v.values); n > 0 && !v.values[n-1].given {
		return v.values[n-1]
	}
	r := &register{key: fmt.Sprintf("k%d", len(v.values))}
	v.values = append(v.values, r)
	return r
}

// item returns the tally of a SKU.
func (v *visit) item(sku string) *tally {
	if v.cart[sku] == nil {
		v.cart[sku] = &tally{}
	}
	return v.cart[sku]
}

// showCart judges a cart that a node has shown.
func (v *visit) showCart(items map[string]int) error {
	for sku, n := range v.cart {
		if err := n.show(items[sku]); err != nil {
			return fmt.Errorf("cart, %s: %w", sku, err)
		}
	}
	for sku, n := range items {
		if v.cart[sku] == nil {
			return fmt.Errorf("cart: %d of %s, which was never added", n, sku)
		}
	}
	return nil
}
