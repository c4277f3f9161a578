package cluster

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// The formats are those of the first release: testdata/fuzz keeps them.
func TestWireCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzHello": {
			"first":    helloBytes(hello{level: 1, source: "0123456789abcdef.01"}),
			"raft":     helloBytes(hello{1, 0, "c1", "n.1", 7, 8, 9, "m.2"}),
			"refusal":  helloBytes(hello{1, codeOtherFarm, "c1", "n.1", 7, 8, 9, "m.2"}),
			"longname": helloBytes(hello{level: 1, cluster: strings.Repeat("x", 300)}),
		},
		"FuzzFrame": {
			"propose": frameBytes(1, byte(methodPropose), []byte("payload")),
			"two":     append(frameBytes(1<<60, 255, nil), frameBytes(2, 0, bytes.Repeat([]byte("x"), 300))...),
		},
	})
}

func helloBytes(h hello) []byte {
	var b bytes.Buffer
	writeHello(&b, h)
	return b.Bytes()
}

func frameBytes(call uint64, kind byte, payload []byte) []byte {
	var b bytes.Buffer
	writeFrame(bufio.NewWriter(&b), call, kind, payload)
	return b.Bytes()
}

func FuzzHello(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var h hello
		var err error
		corpus.Frugal(t, len(b), func() { h, err = readHello(bytes.NewReader(b)) })
		if err != nil {
			return
		}
		if h2, err := readHello(bytes.NewReader(helloBytes(h))); err != nil || h2 != h {
			t.Fatalf("%+v comes back as %+v, %v", h, h2, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		corpus.Frugal(t, len(b), func() {
			r := bufio.NewReader(bytes.NewReader(b))
			for rest := b; ; {
				call, kind, payload, err := readFrame(r)
				if err != nil {
					return
				}
				again := frameBytes(call, kind, payload)
				if !bytes.HasPrefix(rest, again) {
					t.Fatalf("%x was read as %x", rest, again)
				}
				rest = rest[len(again):]
			}
		})
	})
}
