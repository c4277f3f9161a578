package cluster

import (
	"fmt"
	"testing"
	"time"
)

func TestWarningsAreNotRepeated(t *testing.T) {
	var w warnings
	now := time.Now()
	if !w.warnNow("disk", now) || w.warnNow("disk", now.Add(warnPause-1)) || !w.warnNow("name", now) ||
		!w.warnNow("disk", now.Add(warnPause)) {
		t.Error("a warning about one thing is given once a minute")
	}
	for i := range 3 * warnAbouts {
		w.warnNow(fmt.Sprint(i), now)
	}
	if len(w.last) > warnAbouts+1 {
		t.Errorf("%d things are remembered", len(w.last))
	}
}
