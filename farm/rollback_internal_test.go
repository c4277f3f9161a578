package farm

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// A rollback leads to a release, and never to the time before the first one: after a first publication that was taken
// back, there is an epoch without a release.
func TestEarlierRelease(t *testing.T) {
	first := []configsync.Epoch{{Number: 1, Release: 1, Failed: true}, {Number: 2}}
	later := append(first, configsync.Epoch{Number: 3, Release: 2}, configsync.Epoch{Number: 4, Release: 3})
	for _, c := range []struct {
		all   []configsync.Epoch
		epoch uint64
		want  uint64
		says  string
	}{
		{first, 0, 0, "none before"},
		{first, 1, 1, ""},
		{first, 2, 0, "in epoch 2 there was no release"},
		{first, 7, 0, "7"},
		{later, 0, 2, ""},
		{later[:3], 0, 0, "none before"},
		{later, 2, 0, "in epoch 2 there was no release"},
		{nil, 0, 0, "none before"},
	} {
		got, err := earlierRelease(c.all, c.epoch)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, configsync.ErrNoEpoch) ||
			!strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v, epoch %d: %d, %v", c.all, c.epoch, got, err)
		}
	}
}
