package cluster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The corpora in testdata/fuzz are made by this: what the encoders write, and what somebody might send who means harm. As
// the formats must not change, TestCorpus fails when an encoder writes something else than what was committed.
var writeCorpus = flag.Bool("corpus", false, "write testdata/fuzz anew")

// corpus returns the seeds of each fuzz target by name.
func corpus(t *testing.T) map[string]map[string][]byte {
	whole := map[string]map[string][]byte{
		"FuzzHello": {
			"first":    helloBytes(hello{level: 1, source: "0123456789abcdef.01"}),
			"raft":     helloBytes(hello{1, 0, "c1", "n.1", 7, 8, 9, "m.2"}),
			"refusal":  helloBytes(hello{1, codeOtherFarm, "c1", "n.1", 7, 8, 9, "m.2"}),
			"longname": helloBytes(hello{level: 1, cluster: strings.Repeat("x", 300)}),
		},
		"FuzzMeta": {
			"joiner": (&meta{minProtocol: 1, maxProtocol: 1, incarnation: "i", boot: 1, start: 4, name: "n"}).append(nil),
			"member": (&meta{minProtocol: 1, maxProtocol: 2, durable: true, leaving: true, second: true, role: Front, cluster: "c",
				incarnation: "i", boot: 3, start: 4, name: "n", version: "v", tags: map[string]string{"http": "127.0.0.1:80", "app": "shop"}}).append(nil),
		},
		"FuzzFrame": {
			"propose": frameBytes(1, byte(methodPropose), []byte("payload")),
			"two":     append(frameBytes(1<<60, 255, nil), frameBytes(2, 0, bytes.Repeat([]byte("x"), 300))...),
		},
		"FuzzPayload": {
			"batch":     batchBytes(commandBatch(7, 1, 1, "append x 1", "set y 2")),
			"status":    binary.AppendUvarint(appendString(appendString(nil, "a.1"), "a.2"), 9),
			"answer":    appendAnswer(binary.AppendUvarint(nil, 3), answer{code: codeOK, index: 9, value: [][]byte{[]byte("v"), nil}}),
			"question":  question{server: "a.1", index: 9, divergence: divergence{text: "who differs", stop: true}}.append(nil),
			"testimony": testimony{chain: point{9, 1 << 60}, state: point{7, 3}}.append(nil),
			"stored":    stored{term: 5, last: 1 << 40, lastTerm: 4}.append(nil),
			"report":    (&report{server: "a.1", term: 3, last: 9, ordinary: true, voters: []string{"a.1", "b.2"}, nonvoters: []string{"c.3"}}).append(nil),
		},
		"FuzzEntry": {
			"commands": append(append(entryHeader(entryCommands, 5), batchBytes(commandBatch(7, 1, 1, "append x 1", "set y 2"))...),
				batchBytes(commandBatch(9, 1, 1))...),
			"register": appendRegistration(entryHeader(entryRegister, 5), registration{1, "a.1", 1, 1}),
			"open":     entryHeader(entryOpen, 5),
			"found":    append(entryHeader(entryFound, 5), 3),
			"formed":   entryHeader(entryFormed, 5),
			"level":    append(entryHeader(entryLevel, 5), 2),
			"mark":     entryHeader(entryMark, 5),
			"level9":   append(entryHeader(entryLevel, 5), 9),
		},
		"FuzzSnapshot": {"empty": newTestFSM(t).snapshot(), "full": fullFSM(t).snapshot(),
			"level2": []byte(snapshotMagic2 + "\x00\x00\x00\x08\x01\x01\x00\x00\x00\x00\x00\x02"),
			"level3": fullFSM(t).raised(levelSafety).snapshot()},
	}
	for _, seeds := range whole {
		for _, name := range sortedKeys(seeds) { // of those there are now
			b := seeds[name]
			for what, bad := range hostile(b) {
				seeds[name+"-"+what] = bad
			}
		}
	}
	return whole
}

// hostile returns what somebody could make of an encoding: torn, longer than it says, with a length that lies, of another
// version, and empty.
func hostile(b []byte) map[string][]byte {
	mid := len(b) / 2
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	return map[string][]byte{
		"torn":    slices.Clone(b[:mid]),
		"longer":  append(slices.Clone(b), 0),
		"liesmid": slices.Concat(b[:mid], huge, b[mid:]),
		"lies":    slices.Concat(b[:min(3, len(b))], huge, b[min(3, len(b)):]),
		"version": append([]byte{0xee}, b[1:]...),
		"size":    append([]byte{0xff, 0xff, 0xff, 0xff}, b[min(4, len(b)):]...),
	}
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

func batchBytes(b batch) []byte { return appendBatch(nil, &b) }

func fullFSM(t *testing.T) *testFSM {
	f := newTestFSM(t, "a.1", "b.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1", "set y 2"))
	f.commands(commandBatch(7, 2, 1, "append x 2"))
	return f
}

// raised puts a level in force.
func (f *testFSM) raised(level byte) *testFSM {
	f.entry(append(entryHeader(entryLevel, 1), level))
	return f
}

func TestCorpus(t *testing.T) {
	for target, seeds := range corpus(t) {
		dir := filepath.Join("testdata", "fuzz", target)
		for name, b := range seeds {
			file, text := filepath.Join(dir, name), fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b)
			if *writeCorpus {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != text {
				t.Errorf("%s: the format has changed, or `go test -run Corpus -corpus` was not run: %v\n got %s\nwant %s", file, err, got, text)
			}
		}
	}
}

// frugal does f, and fails if it took much more memory than its input justifies: lengths are claims, not facts.
func frugal(t *testing.T, input int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20+256*uint64(input) {
		t.Fatalf("%d bytes of input took %d bytes of memory", input, took)
	}
}

func FuzzHello(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var h hello
		var err error
		frugal(t, len(b), func() { h, err = readHello(bytes.NewReader(b)) })
		if err != nil {
			return
		}
		if h2, err := readHello(bytes.NewReader(helloBytes(h))); err != nil || h2 != h {
			t.Fatalf("%+v comes back as %+v, %v", h, h2, err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var m meta
		var err error
		frugal(t, len(b), func() { m, err = parseMeta(b) })
		if err != nil {
			return
		}
		if again, err := parseMeta(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		frugal(t, len(b), func() {
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

// FuzzPayload reads the bytes as each kind of request and answer that has a form of its own.
func FuzzPayload(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		frugal(t, len(b), func() {
			parseStatus(b)
			if a, err := parseProposeAnswer(b); err == nil {
				again := appendAnswer(binary.AppendUvarint(nil, a.term), a.answer)
				if a2, err := parseProposeAnswer(again); err != nil || !reflect.DeepEqual(a, a2) {
					t.Fatalf("%+v comes back as %+v, %v", a, a2, err)
				}
			}
			if r, err := parseReport(b); err == nil {
				if r2, err := parseReport(r.append(nil)); err != nil || !reflect.DeepEqual(r, r2) {
					t.Fatalf("%+v comes back as %+v, %v", r, r2, err)
				}
			}
			if q, err := parseQuestion(b); err == nil {
				if q2, err := parseQuestion(q.append(nil)); err != nil || q2 != q {
					t.Fatalf("%+v comes back as %+v, %v", q, q2, err)
				}
			}
			if s, err := parseTestimony(b); err == nil {
				if s2, err := parseTestimony(s.append(nil)); err != nil || s2 != s {
					t.Fatalf("%+v comes back as %+v, %v", s, s2, err)
				}
			}
			if s, err := parseStored(b); err == nil {
				if s2, err := parseStored(s.append(nil)); err != nil || s2 != s {
					t.Fatalf("%+v comes back as %+v, %v", s, s2, err)
				}
			}
			r := newReader(b)
			batch := readBatch(r)
			if !r.done() {
				return
			}
			commands := 0
			if batch.each(func(_, _ []byte) { commands++ }) == nil && commands != batch.count {
				t.Fatalf("%d commands in a batch of %d", commands, batch.count)
			}
			r2 := newReader(appendBatch(nil, &batch))
			if again := readBatch(r2); !r2.done() || !reflect.DeepEqual(again, batch) {
				t.Fatalf("%+v comes back as %+v", batch, again)
			}
		})
	})
}

func FuzzEntry(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		fsm.register(7, "a.1", 1)
		before, _ := fsm.view()
		frugal(t, len(b), func() { fsm.entry(b) })
		if after, _ := fsm.view(); (after == before) != (fsm.fault != nil) {
			t.Fatalf("index %d after %d, fault %v: an entry is applied or stops the node", after, before, fsm.fault)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm := newTestFSM(t, "a.1")
		var err error
		frugal(t, len(b), func() { err = fsm.Restore(io.NopCloser(bytes.NewReader(b))) })
		if err != nil {
			return
		}
		again := newTestFSM(t, "a.1")
		whole := fsm.snapshot()
		if err := again.Restore(io.NopCloser(bytes.NewReader(whole))); err != nil {
			t.Fatalf("what was restored, and written again, is refused: %v", err)
		}
		if twice := again.snapshot(); !bytes.Equal(whole, twice) {
			t.Fatalf("%x is written as %x after a restore", whole, twice)
		}
	})
}
