package cluster

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// foundApart is what the simulation says when replicas have applied, or committed, different entries.
var foundApart = regexp.MustCompile(`replicas (have applied different entries|differ at entry).*`)

// TestSimulationFindsHeartbeatsBeside runs the simulation as it is, in programs of its own, with heartbeats
// beside raft's main goroutine: it must fail, and say that replicas differ (raft issue 695). The seeds decide
// what is done and when, but which goroutine runs first is chance, so it takes as many as it needs, one after
// the other. `make sim` and `make torture` run it; TestReplicasStayEqual is the short form, with nothing but
// the fault that does it.
func TestSimulationFindsHeartbeatsBeside(t *testing.T) {
	if race.Enabled {
		t.Skip("what is looked for is no data race, and the order of goroutines is another one")
	}
	if !ci.Torture() && os.Getenv("WEBFARM_MINUTES") == "" {
		t.Skip("it takes up to a minute on a busy machine: make sim, or make torture")
	}
	for i := range findTries {
		seed := findSeeds[i%len(findSeeds)]
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSimulation$", "-test.count=1",
			"-test.timeout=5m")
		cmd.Env = append(os.Environ(), "WEBFARM_BESIDE=1", "WEBFARM_MINUTES=2",
			"WEBFARM_SEED="+strconv.Itoa(seed), "TESTLOG=")
		out, err := cmd.CombinedOutput()
		if found := foundApart.Find(out); err != nil && found != nil {
			t.Logf("found in seed %d: %s", seed, found)
			return
		}
		t.Logf("not found in seed %d: %v", seed, err)
	}
	t.Errorf("raft issue 695 was not found in %d tries", findTries)
}

// findSeeds are some that have the leader deposed slowly early and often. With them 21 of 24 tries of two
// minutes found it, on a machine with ten times as much to do as it has processors, most by the first or the
// second change of the leader. If only every second one did, one search in 60,000 would end in vain.
var findSeeds = []int{12, 16, 17, 18, 2, 5, 3, 14}

const findTries = 16
