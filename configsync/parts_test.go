package configsync

import (
	"reflect"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/parts"
)

var whole = parts.Whole{Type: reflect.TypeFor[Manager](), Base: reflect.TypeFor[base](),
	Does: []string{"assemble", "start", "follow"}}

// A part has what it needs as fields, and not the Manager, which opens its parts, passes to them what a program asks,
// and ends them. Nothing hides what is in the base.
func TestManagerOnlyPutsTogether(t *testing.T) { whole.Check(t, 15) }

// No part is put together before another one that it has.
func TestPartsAreWhole(t *testing.T) {
	m, err := newManager(Settings{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	whole.Lacks(t, m, "switching.prepared", "switching.failed")
}
