package cluster

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// What members say of themselves, and what they ask each other, keeps its form: testdata/fuzz has it.
func TestCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzPayload": {
			"batch": wire.AppendBatch(nil, &wire.Batch{Origin: 7, Seq: 1, Floor: 1, Count: 2,
				Body: wire.AppendCommand(wire.AppendCommand(nil, "kv", []byte("append x 1")), "kv",
					[]byte("set y 2"))}),
			"status": binary.AppendUvarint(wire.AppendString(wire.AppendString(nil, "a.1"), "a.2"), 9),
			"answer": wire.AppendAnswer(binary.AppendUvarint(nil, 3),
				wire.Answer{Code: wire.CodeOK, Index: 9, Value: [][]byte{[]byte("v"), nil}}),
			"offer": appendProposeAnswer(wire.AppendCredit(nil, wire.Credit{Commands: 2048, Bytes: 1 << 20}),
				leaderAnswer{term: 3, Answer: wire.Answer{Index: 9, Value: [][]byte{[]byte("v")}}}),
			"question": question{server: "a.1", index: 9,
				divergence: divergence{text: "who differs", stop: true}}.append(nil),
			"testimony": testimony{chain: replica.Point{Index: 9, Sum: 1 << 60},
				state: replica.Point{Index: 7, Sum: 3}}.append(nil),
			"stored": stored{term: 5, last: 1 << 40, lastTerm: 4}.append(nil),
			"notice": notice{server: "a.1", term: 5, index: 1 << 40}.append(nil),
			"report": (&succession.Report{Server: "a.1", Term: 3, Last: 9, Ordinary: true,
				Voters: []string{"a.1", "b.2"}, Nonvoters: []string{"c.3"}}).Append(nil),
		},
	})
}

// FuzzPayload reads the bytes as each kind of request and answer that has a form of its own.
func FuzzPayload(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		corpus.Frugal(t, len(b), func() {
			parseStatus(b)
			if a, err := parseProposeAnswer(b); err == nil {
				if a2, err := parseProposeAnswer(appendProposeAnswer(nil, a)); err != nil ||
					!reflect.DeepEqual(a, a2) {
					t.Fatalf("%+v comes back as %+v, %v", a, a2, err)
				}
			}
			if a, c, err := parseOfferAnswer(b); err == nil {
				a2, c2, err := parseOfferAnswer(appendProposeAnswer(wire.AppendCredit(nil, c), a))
				if err != nil || c2 != c || !reflect.DeepEqual(a, a2) {
					t.Fatalf("%+v, %+v comes back as %+v, %+v, %v", c, a, c2, a2, err)
				}
			}
			if r, err := succession.ReadReport(b); err == nil {
				if r2, err := succession.ReadReport(r.Append(nil)); err != nil || !reflect.DeepEqual(r, r2) {
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
			if n, err := parseNotice(b); err == nil {
				if n2, err := parseNotice(n.append(nil)); err != nil || n2 != n {
					t.Fatalf("%+v comes back as %+v, %v", n, n2, err)
				}
			}
			r := wire.NewReader(b)
			batch := wire.ReadBatch(r)
			if !r.Done() {
				return
			}
			commands := 0
			if batch.Each(func(_, _ []byte) { commands++ }) == nil && commands != batch.Count {
				t.Fatalf("%d commands in a batch of %d", commands, batch.Count)
			}
			r2 := wire.NewReader(wire.AppendBatch(nil, &batch))
			if again := wire.ReadBatch(r2); !r2.Done() || !reflect.DeepEqual(again, batch) {
				t.Fatalf("%+v comes back as %+v", batch, again)
			}
		})
	})
}
