package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/session"
)

// What the shop remembers of a visitor.
var (
	cart  = session.NewKey[map[string]int]("cart") // how many of each SKU
	count = session.NewKey[int]("count")
)

var errSKU = errors.New("a sku has 1 to 60 bytes of printable text")

type product struct{ SKU, Name, About string }

// offer is a product at its price.
type offer struct {
	product
	Cents int
}

// Price is in euros.
func (o offer) Price() string { return euros(o.Cents) }

// offers returns all products at the prices that the request sees.
func offers(ctx context.Context) []offer {
	out := make([]offer, len(products))
	for i, p := range products {
		out[i] = offer{p, settings.Get(ctx).Prices[p.SKU]}
	}
	return out
}

var products = []product{
	{"kettle", "Kettle", "Whistles in G. One litre, enamelled."},
	{"lamp", "Desk lamp", "Warm light and a long arm."},
	{"mug", "Mug", "Stoneware. Survives the dishwasher, and most nodes."},
	{"notebook", "Notebook", "A5, dotted, 160 pages, lies flat."},
	{"stool", "Stool", "Beech, three legs: it stands as long as a majority does."},
	{"tea", "Green tea", "Sencha, 100 g, in a tin."},
}

func euros(cents int) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

func findProduct(sku string) product {
	for _, p := range products {
		if p.SKU == sku {
			return p
		}
	}
	return product{SKU: sku, Name: sku}
}

// addToCart changes the number of one SKU in the visitor's cart and returns the cart. Requests that run at the same time,
// on whatever nodes, all count.
func addToCart(ctx context.Context, sku string, n int) (map[string]int, error) {
	if !printable(sku) {
		return nil, errSKU
	}
	return cart.Update(ctx, func(items map[string]int, _ bool) (map[string]int, error) {
		if items == nil {
			items = make(map[string]int)
		}
		if items[sku] += n; items[sku] <= 0 {
			delete(items, sku)
		}
		return items, nil
	})
}

// line is one row of the cart's page.
type line struct {
	offer
	Count int
}

// Sum is in euros.
func (l line) Sum() string { return euros(l.Cents * l.Count) }

func cartLines(ctx context.Context, items map[string]int) (lines []line, total int) {
	for _, sku := range slices.Sorted(maps.Keys(items)) {
		l := line{offer{findProduct(sku), settings.Get(ctx).Prices[sku]}, items[sku]}
		lines = append(lines, l)
		total += l.Cents * l.Count
	}
	return lines, total
}

func itemsIn(items map[string]int) (n int) {
	for _, k := range items {
		n += k
	}
	return n
}

// printable reports whether s may name something: a SKU, or a value of the session.
func printable(s string) bool {
	if s == "" || len(s) > 60 || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
