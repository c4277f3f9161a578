package bubble

import (
	"flag"
	"testing"
)

// Example runs body as go test runs a test. It is for examples of what takes a testing.T, which an example
// has not: what they print is compared as usual. What the testing package says of a test that passes is
// left out.
func Example(body func(t *testing.T)) {
	for name, value := range map[string]string{"test.v": "false", "test.count": "1"} {
		was := flag.Lookup(name).Value.String()
		flag.Set(name, value)
		defer flag.Set(name, was)
	}
	always := func(string, string) (bool, error) { return true, nil }
	testing.RunTests(always, []testing.InternalTest{{Name: "example", F: body}})
}
