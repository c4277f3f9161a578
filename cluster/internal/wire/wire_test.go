package wire

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// The formats are those of the first release: testdata/fuzz keeps them.
func TestCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzHello": {
			"first":    helloBytes(Hello{Level: 1, Source: "0123456789abcdef.01"}),
			"raft":     helloBytes(Hello{1, 0, "c1", "n.1", 7, 8, 9, "m.2"}),
			"refusal":  helloBytes(Hello{1, CodeOtherFarm, "c1", "n.1", 7, 8, 9, "m.2"}),
			"longname": helloBytes(Hello{Level: 1, Cluster: strings.Repeat("x", 300)}),
		},
		"FuzzFrame": {
			"propose": frameBytes(1, byte(MethodPropose), []byte("payload")),
			"two": append(frameBytes(1<<60, 255, nil),
				frameBytes(2, 0, bytes.Repeat([]byte("x"), 300))...),
		},
	})
}

func helloBytes(h Hello) []byte {
	var b bytes.Buffer
	WriteHello(&b, h)
	return b.Bytes()
}

func frameBytes(call uint64, kind byte, payload []byte) []byte {
	var b bytes.Buffer
	WriteFrame(bufio.NewWriter(&b), call, kind, payload)
	return b.Bytes()
}

func FuzzHello(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hello
		var err error
		corpus.Frugal(t, len(b), func() { h, err = ReadHello(bytes.NewReader(b)) })
		if err != nil {
			return
		}
		if h2, err := ReadHello(bytes.NewReader(helloBytes(h))); err != nil || h2 != h {
			t.Fatalf("%+v comes back as %+v, %v", h, h2, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		corpus.Frugal(t, len(b), func() {
			r := bufio.NewReader(bytes.NewReader(b))
			for rest := b; ; {
				call, kind, payload, err := ReadFrame(r)
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
