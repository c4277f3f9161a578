package stdlog

import (
	"bytes"
	"log"
	"testing"
)

// TestRestoreLeavesOthersAlone: only what took package log over is undone.
func TestRestoreLeavesOthersAlone(t *testing.T) {
	was := current()
	t.Cleanup(func() {
		log.SetOutput(was.out)
		log.SetFlags(was.flags)
	})
	var b bytes.Buffer
	log.SetOutput(&b)
	log.SetFlags(log.Lmsgprefix)
	Restore()
	if log.Writer() != &b || log.Flags() != log.Lmsgprefix {
		t.Errorf("what the program has set is gone: writer %T, flags %#x", log.Writer(), log.Flags())
	}
}
