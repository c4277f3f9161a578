package configsync_test

import (
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
)

func TestSetField(t *testing.T) {
	const text = "# the shop\nbanner: Hello # as agreed\nprices:\n  # per 100 g\n  tea: 3\n  mead: 4\n"
	for _, c := range []struct{ text, section, field, value, want string }{
		{text, "", "banner", "Sale", strings.Replace(text, "Hello", "Sale", 1)},
		{text, "", "prices.tea", "5", strings.Replace(text, "tea: 3", "tea: 5", 1)},
		{text, "", "prices.milk", "1", text + "  milk: 1\n"},
		{text, "", `prices."a.b"`, "null", text + "  a.b: null\n"},
		{text, "", "limits.max", "7", text + "limits:\n  max: 7\n"},
		{text, "/shop/", "limits.max", "7", text + "paths:\n  /shop/:\n    limits:\n      max: 7\n"},
		{text, "", "prices", "{tea: 1}", "# the shop\nbanner: Hello # as agreed\nprices: {tea: 1}\n"},
		{"", "", "banner", "\"1.10\"", "banner: \"1.10\"\n"},
		{"", "", "prices.true", "1", "prices:\n  \"true\": 1\n"},
		{"prices: 3\n", "", "prices.tea", "1", "prices:\n  tea: 1\n"},
		{"a: b\nb: c\n", "", "b", "d", "a: b\nb: d\n"},
		{"{banner: x}\n", "", "banner", "y", "{banner: y}\n"},
	} {
		got, err := configsync.SetField("site.yaml", c.text, c.section, c.field, c.value)
		if err != nil || got != c.want {
			t.Errorf("%s = %s: %v, got\n%s\nwant\n%s", c.field, c.value, err, got, c.want)
		}
	}
	got, err := configsync.SetField("site.yaml", "# only this\n", "", "banner", "x")
	if err != nil || !strings.Contains(got, "# only this\n") || !strings.Contains(got, "banner: x\n") {
		t.Errorf("a file of comments: %q, %v", got, err)
	}
	got, err = configsync.RemoveField("site.yaml", text, "", "prices.tea")
	if err != nil || strings.Contains(got, "tea: 3") || !strings.Contains(got, "mead: 4") {
		t.Errorf("removed: %q, %v", got, err)
	}
	for want, f := range map[string]func() (string, error){
		"does not set limits.max": func() (string, error) {
			return configsync.RemoveField("site.yaml", text, "",
				"limits.max")
		},
		"does not set prices.x": func() (string, error) {
			return configsync.RemoveField("site.yaml", text, "",
				"prices.x")
		},
		"is no path to a field": func() (string, error) {
			return configsync.SetField("site.yaml", text, "",
				"a..b", "1")
		},
		"is no YAML": func() (string, error) {
			return configsync.SetField("site.yaml", text, "",
				"a", "[")
		},
		"the value is empty": func() (string, error) {
			return configsync.SetField("site.yaml", text, "",
				"a", "")
		},
		"in YAML files only": func() (string, error) {
			return configsync.SetField("site.json", "{}", "",
				"a", "1")
		},
		"anchors": func() (string, error) {
			return configsync.SetField("site.yaml", "a: &x 1",
				"", "a", "1")
		},
	} {
		if got, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, %v, want %s", got, err, want)
		}
	}
}
