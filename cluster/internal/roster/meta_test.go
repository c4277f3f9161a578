package roster

import (
	"reflect"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// What members say of themselves keeps its form: testdata/fuzz has it.
func TestCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzMeta": {
			"joiner": (&Meta{MinProtocol: 1, MaxProtocol: 1, Incarnation: "i", Boot: 1, Start: 4,
				Name: "n"}).Append(nil),
			"retiring": (&Meta{MinProtocol: 3, MaxProtocol: 3, Durable: true, Retiring: true, Second: true,
				Cluster:     "c",
				Incarnation: "i", Boot: 3, Start: 4, Name: "n"}).Append(nil),
			"goodbye": (&Meta{MinProtocol: 4, MaxProtocol: 4, Durable: true, Leaving: true, Goodbye: true,
				Second: true, Cluster: "c", Incarnation: "i", Boot: 3, Start: 4, Name: "n"}).Append(nil),
			"member": (&Meta{MinProtocol: 1, MaxProtocol: 2, Durable: true, Leaving: true, Second: true,
				Role: "front", Cluster: "c",
				Incarnation: "i", Boot: 3, Start: 4, Name: "n", Version: "v",
				Tags: map[string]string{"http": "127.0.0.1:80", "app": "shop"}}).Append(nil),
		},
	})
}

func FuzzMeta(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Meta
		var err error
		corpus.Frugal(t, len(b), func() { m, err = ReadMeta(b) })
		if err != nil {
			return
		}
		if again, err := ReadMeta(m.Append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}
