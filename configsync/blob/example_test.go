package blob_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

func ExampleStore() {
	store, err := blob.OpenStore(blob.StoreConfig{}) // in a folder of its own: StoreConfig{Dir: ...}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	ctx := context.Background()
	h, err := store.Put(ctx, blob.Hash{}, strings.NewReader("Welcome"))
	fmt.Println(h, err)

	f, size, err := store.Open(h)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	fmt.Printf("%s, %d bytes, %v\n", b, size, err)
	// Output:
	// 0e2226b5235f0ff94a276eb4d07a3bfea74b7e3b8b85e9efca6c18430f041bf8 <nil>
	// Welcome, 7 bytes, <nil>
}

// What a release needs is kept, and everything else goes when nobody has wanted it for an hour.
func ExampleStore_Sweep() {
	store, err := blob.OpenStore(blob.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	ctx := context.Background()
	old, _ := store.Put(ctx, blob.Hash{}, strings.NewReader("last year"))
	now, _ := store.Put(ctx, blob.Hash{}, strings.NewReader("today"))
	keep := func(h blob.Hash) bool { return h == now }

	freed, err := store.Sweep(ctx, keep, time.Hour)
	fmt.Println(freed, err, store.Has(old))
	freed, err = store.Sweep(ctx, keep, 0) // at once
	fmt.Println(freed, err, store.Has(old), store.Has(now))
	// Output:
	// 0 <nil> true
	// 9 <nil> false true
}

// A scrub reads everything in the course of a day.
func ExampleStore_Scrub() {
	store, err := blob.OpenStore(blob.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	ctx := context.Background()
	store.Put(ctx, blob.Hash{}, strings.NewReader("today"))

	report, err := store.Scrub(ctx, 0) // 24*time.Hour
	fmt.Println(report.Blobs, report.Bytes, len(report.Lost), err)
	// Output: 1 5 0 <nil>
}
