package cluster

import (
	"bufio"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
)

func FuzzHello(f *testing.F) {
	for _, h := range []hello{{level: 1}, {2, codeOtherFarm, "c1", "n.1", 7, 8, 9, "m.2"}, {level: 1, cluster: strings.Repeat("x", 300)}} {
		var b bytes.Buffer
		if err := writeHello(&b, h); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeHello(&again, h); err != nil {
			t.Fatal(err)
		}
		if h2, err := readHello(&again); err != nil || h2 != h {
			t.Fatalf("%+v comes back as %+v, %v", h, h2, err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	m := meta{minProtocol: 1, maxProtocol: 1, durable: true, leaving: true, role: Front, cluster: "c", incarnation: "i", boot: 3,
		start: 4, name: "n", version: "v", tags: map[string]string{"http": "127.0.0.1:80", "app": "shop"}}
	f.Add(m.append(nil))
	f.Add([]byte{metaFormat, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		if again, err := parseMeta(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	writeFrame(w, 1, byte(methodPropose), []byte("payload"))
	writeFrame(w, 1<<60, 255, nil)
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			_, _, payload, err := readFrame(r)
			if err != nil {
				return
			}
			if len(payload) > len(b) {
				t.Fatalf("a payload of %d bytes out of %d", len(payload), len(b))
			}
		}
	})
}

func FuzzEntry(f *testing.F) {
	one, two := commandBatch(7, 1, 1, "append x 1", "set y 2"), commandBatch(9, 1, 1)
	f.Add(appendBatch(appendBatch(entryHeader(entryCommands, 5), &one), &two))
	f.Add(appendRegistration(entryHeader(entryRegister, 5), registration{1, "a.1", 1, 1}))
	f.Add(entryHeader(entryOpen, 5))
	f.Add(append(entryHeader(entryLevel, 5), 2))
	f.Add(append(entryHeader(entryLevel, 5), 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		fsm.register(7, "a.1", 1)
		before, _ := fsm.view()
		fsm.entry(b)
		if after, _ := fsm.view(); (after == before) != (fsm.fault != nil) {
			t.Fatalf("index %d after %d, fault %v: an entry is applied or stops the node", after, before, fsm.fault)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(snapshotMagic))
	f.Add([]byte(snapshotMagic2 + "\x00\x00\x00\x08\x01\x01\x00\x00\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		if fsm.Restore(io.NopCloser(bytes.NewReader(b))) == nil {
			fsm.snapshot()
		}
	})
}
