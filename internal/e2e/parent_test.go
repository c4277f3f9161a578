//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var tableRow = regexp.MustCompile(`(?m)^(n\d)\s+http://\S+\s+\S+\s+(\d+)\s`)

// The nodes of a shop end with the process that started them, even if that is killed.
func TestKillParent(t *testing.T) {
	scenario(t)
	f := newFarm(t, 0, true)
	p := runShop(t, "launcher", nil, "-dir", f.dir)
	f.until("the shop opens", func() error {
		if !p.running() {
			t.Fatalf("the launcher has ended: %v", p.err)
		}
		if !strings.Contains(p.out.String(), "Try this") {
			return errors.New("not yet")
		}
		return nil
	})
	rows := tableRow.FindAllStringSubmatch(p.out.String(), -1)
	if len(rows) != 3 {
		t.Fatalf("%d nodes in the table", len(rows))
	}
	p.kill()
	for _, row := range rows {
		pid, err := strconv.Atoi(row[2])
		if err != nil {
			t.Fatal(err)
		}
		f.until(row[1]+" ends", func() error {
			if !gone(pid) {
				return fmt.Errorf("process %d runs", pid)
			}
			return nil
		})
	}
}
