package frameworks

import (
	"os"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func TestMain(m *testing.M) { os.Exit(ci.Main(m)) }
