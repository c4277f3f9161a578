package forward

import (
	"os"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// Nothing that a test has begun goes on when all of them have ended.
func TestMain(m *testing.M) {
	os.Exit(ci.Run(m, "github.com/seed48eb2e21/webfarm/farm/forward"))
}
