package farm

import (
	"context"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// TellRollout has do put a release in force, and tells w how far that is. key is that of the write.
func TellRollout(ctx context.Context, f *Farm, w http.ResponseWriter, key string,
	do func(context.Context) (configsync.Result, error)) {
	f.tellRollout(ctx, w, key, do)
}

// Pause has a node be as if its process had not run for d until now, with the rest of the machine going on.
func Pause(f *Farm, d time.Duration) {
	last := time.Now().Add(-d)
	f.pulse.last.Store(&last)
}

// PinSigner returns what signs that a visitor has seen a release.
func PinSigner(f *Farm) content.Signer { return f.pins().Signer }
