package blob

import "testing"

func TestKernelReports(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc": true, "5.17.0-1": true, "6.1.0-13-amd64\n": true, "10.0.1": true,
		"5.7.19": false, "5.15.0-91-generic": false, "4.19.0-26-amd64": false, "5.x.1": false, "": false, "6": false,
	} {
		if got := reports(release); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
	if n := waiting(); n < 0 || n >= 1<<60 {
		t.Errorf("%d bytes wait", n)
	}
}
