package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// Settings are what the shop's owner changes while it runs, on all nodes at once:
//
//	shop farm config set site prices.tea 1500
type Settings struct {
	Banner string         `json:"banner"` // above every page; "" = none
	Prices map[string]int `json:"prices"` // cents, by SKU
}

var settings = configsync.NewConfig("site", Settings{Prices: map[string]int{
	"kettle": 3900, "lamp": 5450, "mug": 1200, "notebook": 950, "stool": 8900, "tea": 1450,
}})

// configs are all that the program has: its nodes use them, and "shop farm check" checks files by them.
var configs = []configsync.Declared{settings}

// Validate says what no node may sell by.
func (s Settings) Validate() error {
	var errs []error
	for _, sku := range slices.Sorted(maps.Keys(s.Prices)) {
		if findProduct(sku).About == "" {
			errs = append(errs, fmt.Errorf("there is no %q to have a price", sku))
		}
		if s.Prices[sku] <= 0 {
			errs = append(errs, fmt.Errorf("the price of %s is %d: nothing is for free here", sku, s.Prices[sku]))
		}
	}
	for _, p := range products {
		if _, ok := s.Prices[p.SKU]; !ok {
			errs = append(errs, fmt.Errorf("%s has no price", p.SKU))
		}
	}
	return errors.Join(errs...)
}
