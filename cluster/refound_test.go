package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The founder of a farm loses its log and is started before the others. It must not found the farm a second time: that
// would be two logs under one cluster ID.
func TestFounderWithoutLog(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.start()
		}
		l.ready(l.nodes...)
		l.nodes[0].must("append x 1")
		founder := l.nodes[0]
		for _, n := range l.nodes {
			if n.id < founder.id {
				founder = n // the lowest NodeID founds
			}
		}
		time.Sleep(10 * time.Second)
		for _, n := range l.nodes {
			n.stop()
		}
		if err := os.RemoveAll(filepath.Join(founder.conf.Dir, logDir)); err != nil {
			t.Fatal(err)
		}
		founder.start()
		time.Sleep(30 * time.Second)
		if st := founder.State(); st.Leader != "" || st.Ready {
			t.Errorf("it has founded a farm: %+v", st)
		}
		for _, n := range l.nodes {
			if n != founder {
				n.start()
			}
		}
		l.ready(l.nodes...)
		founder.must("append x 2")
		l.agree()
		if got := founder.get("x"); got != "1,2," {
			t.Errorf("x = %q", got)
		}
	})
}
