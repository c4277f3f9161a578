package cluster

import (
	"reflect"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// What members say of themselves keeps its form: testdata/fuzz has it.
func TestCorpus2(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzMeta": {
			"joiner": (&meta{minProtocol: 1, maxProtocol: 1, incarnation: "i", boot: 1, start: 4, name: "n"}).append(nil),
			"member": (&meta{minProtocol: 1, maxProtocol: 2, durable: true, leaving: true, second: true, role: "front", cluster: "c",
				incarnation: "i", boot: 3, start: 4, name: "n", version: "v", tags: map[string]string{"http": "127.0.0.1:80", "app": "shop"}}).append(nil),
		},
	})
}

func FuzzMeta(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var m meta
		var err error
		corpus.Frugal(t, len(b), func() { m, err = parseMeta(b) })
		if err != nil {
			return
		}
		if again, err := parseMeta(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}
