package state

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/snapshot.bin")

// Logs and snapshots outlive the program that wrote them, and during a rolling upgrade two programs write one log. If
// this test fails, an old command means something else now: give the new meaning a new op code.
func TestCommandsStayReadable(t *testing.T) {
	key := Key{0xaa, 15: 0xbb}
	const hexKey = "aa0000000000000000000000000000bb"
	for want, c := range map[string]command{
		"01" + hexKey + "e0d403" + "80dd db01" + "02" + "0161 0178" + "0162 00": Create{key, time.Minute, time.Hour, entries("a", "x", "b", "")},
		"02" + hexKey + "01" + "0161 0178" + "01" + "0162":                      Write{key, entries("a", "x"), []string{"b"}},
		"03" + hexKey + "0161" + "ac02" + "0178":                                CAS{key, "a", 300, []byte("x")},
		"04" + hexKey + "0161":                                                  Take{key, "a"},
		"05" + hexKey:                                                           Destroy{key},
		"06" + hexKey + hexKey:                                                  Touch{[]Key{key, key}},
		"07" + "e807":                                                           Tick{1000},
		"08" + "808001" + "40" + "40" + "808004" + "808040":                     SetLimits{DefaultLimits()},
		"09" + hexKey + "bb0000000000000000000000000000aa" + "01" + "0161 0178" + "01" + "0162": Renew{key, Key{0xbb, 15: 0xaa}, entries("a", "x"), []string{"b"}},
		"0a" + "ac02" + "808001" + "40" + "40" + "808004" + "808040" + "8080808004":             ChangeLimits{300, withTotal(1 << 30)},
	} {
		b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(want), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("%T: got %x, want %x", c, got, b)
		}
	}
}

func withTotal(total int64) Limits {
	l := DefaultLimits()
	l.Total = total
	return l
}

// The same for snapshots: a changed format needs a new number, and code that reads the old one.
func TestSnapshotsStayReadable(t *testing.T) {
	stayReadable(t, "testdata/snapshot.bin", filled(t, 40).Machine, format)
	r := filled(t, 40)
	r.apply(Renew{Key: keyOf(0), New: keyOf(1000), Sets: entries("a", "renewed")})
	r.apply(ChangeLimits{Limits: withTotal(1 << 30)})
	stayReadable(t, "testdata/snapshot2.bin", r.Machine, formatLimits)
}

func stayReadable(t *testing.T, file string, of *Machine, format byte) {
	snap := snapshot(t, of)
	if snap[0] != format {
		t.Errorf("%s: format %d, want %d", file, snap[0], format)
	}
	if *update {
		if err := os.WriteFile(file, snap, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := restored(t, old)
	if !bytes.Equal(snapshot(t, m), snap) || m.Limits() != of.Limits() || m.LimitsVersion() != of.LimitsVersion() || m.Bytes() != of.Bytes() {
		t.Errorf("%s: a snapshot of an earlier version is not what it was", file)
	}
}
