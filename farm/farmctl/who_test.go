package farmctl

import (
	"encoding/json"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// By what right an epoch was put in force is told apart from that nobody knows it any more. What an older node answers,
// which says a credential or nothing, is read as before.
func TestShownBy(t *testing.T) {
	for answer, want := range map[string][2]string{
		`{"who": "bob", "by": "credential", "credential": "ci"}`: {"ci", "bob (credential ci)"},
		`{"who": "bob", "by": "secret"}`:                         {"(secret)", "bob"},
		`{"by": "return"}`:                                       {"(return)", "-"},
		`{"who": "bob", "by": "unknown"}`: {"(unknown)",
			"bob (by which credential, if by one, is not kept any more)"},
		`{"who": "bob", "credential": "ci"}`: {"ci", "bob (credential ci)"},
		`{"who": "bob"}`:                     {"-", "bob"},
	} {
		var e order.ConfigEpoch
		if err := json.Unmarshal([]byte(answer), &e); err != nil {
			t.Fatal(err)
		}
		if got := [2]string{shownBy(e), saidAndShown(e)}; got != want {
			t.Errorf("%s: %q, want %q", answer, got, want)
		}
	}
}
