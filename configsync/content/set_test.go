package content

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// ring signs as a key ring does: with one key, or with none yet.
type ring string

func (k ring) Sign(message []byte) []byte {
	if k == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(k))
	mac.Write(message)
	return mac.Sum(nil)
}

func (k ring) Verify(message, signature []byte) bool {
	return k != "" && hmac.Equal(k.Sign(message), signature)
}

// three returns the sites of three releases, the oldest first.
func three(t testing.TB) [3]*Site {
	t.Helper()
	s := newFolder(t)
	var sites [3]*Site
	for i, digest := range []string{"aaaa1111", "bbbb2222", "cccc3333"} {
		n := string(rune('1' + i))
		m := pack(t, s, files(map[string]string{
			"public/index.html": "page " + n, "public/style.css": "style " + n, "public/app." + digest +
				".js": "app " + n,
			"public/only" + n + ".css": "only", "public/new" + n + "/index.html": "new",
		}), PackConfig{})
		sites[i] = NewSite(m, s, SiteConfig{}).As(Activation{ID: "r" + n, Epoch: uint64(i + 1), Activated: activated})
	}
	return sites
}

func TestSet(t *testing.T) {
	r := three(t)
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Now: func() time.Time { return now }}
	pin := func(release string, epoch uint64) string {
		return "Cookie: __Host-rel=" + pins.Encode(Pin{Release: release, Epoch: epoch, Until: now.Add(10 * time.Hour)})
	}
	staged := r[2].As(Activation{ID: "r3"})
	set := &Set{Active: r[1], Others: []*Site{staged, r[0]}, Pins: pins}
	document, script, navigate := "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: script",
		"Sec-Fetch-Mode: navigate"
	for _, c := range []struct {
		target, fields string
		want           string
		pinned         string // what the response pins to
	}{
		{"/", document, "page 2", "r2@2"},
		{"/", "X: ", "page 2", "r2@2"},
		{"/style.css", script, "style 2", ""},
		// who has a page of the release before gets its parts, and the next page from the one in force
		{"/style.css", script + "|" + pin("r1", 1), "style 1", ""},
		{"/style.css", pin("r1", 1), "style 1", ""},
		{"/", document + "|" + pin("r1", 1), "page 2", "r2@2"},
		{"/", navigate + "|" + pin("r1", 1), "page 2", "r2@2"},
		{"/", "Sec-Fetch-Dest: iframe|" + pin("r1", 1), "page 2", "r2@2"},
		{"/", pin("r1", 1), "page 2", "r2@2"},
		{"/", "Sec-Fetch-Dest: empty|" + pin("r1", 1), "page 1", ""}, // a script fetches a piece of its page
		{"/only1.css", script + "|" + pin("r1", 1), "only", ""},
		{"/only1.css", script, "404", ""},
		{"/only2.css", script + "|" + pin("r1", 1), "only", ""},
		{"/new2/", pin("r1", 1), "new", "r2@2"},
		{"/new1/", pin("r1", 1), "404", ""},
		// fingerprinted names are found wherever they are
		{"/app.aaaa1111.js", script, "app 1", ""},
		{"/app.bbbb2222.js", script, "app 2", ""},
		{"/app.cccc3333.js", script, "app 3", ""},
		{"/app.bbbb2222.js", script + "|" + pin("r1", 1), "app 2", ""},
		// who has seen a newer epoch does not go back, if that release is here
		{"/", document + "|" + pin("r3", 3), "page 3", ""},
		{"/style.css", script + "|" + pin("r3", 3), "style 3", ""},
		// a canary that is over
		{"/", document + "|" + pin("r3", 2), "page 2", "r2@2"},
		// Behind is about that one
		{"/", document + "|" + pin("r9", 9), "page 2", "r2@2"},
		// and the pin neither
		{"/", document + "|Cookie: __Host-rel=" + pins.Encode(Pin{Release: "r3", Epoch: 3,
			Until: now.Add(time.Hour)}), "page 3", "r3@3"},
		// what was rolled back to is the same release in a newer epoch
		{"/", document + "|" + pin("r2", 1), "page 2", "r2@2"},
		{"/", document + "|" + pin("r2", 2), "page 2", ""},
		// no pins
		{"/style.css", script + "|Cookie: __Host-rel=AAAA.BBBB", "style 2", ""},
		{"/style.css", script + "|Cookie: rel=" + pin("r1", 1)[len("Cookie: __Host-rel="):], "style 2", ""},
		{"/style.css", script + "|X-Release-Pin: " + pins.Encode(Pin{Release: "r1", Epoch: 1,
			Until: now.Add(time.Hour)}), "style 1", ""},
		{"/style.css?rel=" + pins.Encode(Pin{Release: "r1", Epoch: 1, Until: now.Add(time.Hour)}), script, "style 1", ""},
		{"/style.css", script + "|X-Release-Pin: " + pins.Encode(Pin{Release: "r1", Epoch: 1,
			Until: now}), "style 2", ""}, // it is over
		{"/style.css", script + "|X-Release-Pin: " + (&Pins{Signer: ring("other")}).Encode(Pin{Release: "r1", Epoch: 1,
			Until: now.Add(time.Hour)}), "style 2", ""},
	} {
		r := ask(set, "GET", c.target, strings.Split(c.fields, "|")...)
		got, pinned := body(t, r), ""
		if r.StatusCode != 200 {
			got = "404"
		}
		for _, k := range r.Cookies() {
			q := httptest.NewRequest("GET", "/", nil)
			q.AddCookie(k)
			p, _ := pins.Read(q)
			pinned = p.Release + "@" + string(rune('0'+p.Epoch))
			if k.Name != "__Host-rel" || !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode ||
				k.Path != "/" || k.MaxAge != 12*3600 ||
				!p.Until.Equal(now.Add(12*time.Hour)) {
				t.Errorf("%+v", k)
			}
		}
		if got != c.want || pinned != c.pinned {
			t.Errorf("%s %.60s: %q pinned to %q, and not %q to %q", c.target, c.fields, got, pinned, c.want, c.pinned)
		}
	}
	behind := func(field string) bool {
		q := httptest.NewRequest("GET", "/", nil)
		name, value, _ := strings.Cut(field, ": ")
		q.Header.Set(name, value)
		return set.Behind(q)
	}
	for field, want := range map[string]bool{pin("r9", 9): true, pin("r9", 2): false, pin("r3", 3): false,
		pin("r2", 9): false, "X: ": false} {
		if behind(field) != want {
			t.Errorf("behind %.60s: %v", field, !want)
		}
	}
}

// A cookie is set when it says something new, and again after half of its time.
func TestPinIsRefreshed(t *testing.T) {
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), For: time.Hour, Insecure: true, Now: func() time.Time { return now }}
	set := &Set{Active: three(t)[0], Pins: pins}
	cookies := ask(set, "GET", "/").Cookies()
	if len(cookies) != 1 || cookies[0].Name != "rel" || cookies[0].Secure || cookies[0].MaxAge != 3600 {
		t.Fatalf("%+v", cookies)
	}
	field := "Cookie: " + cookies[0].String()
	for after, want := range map[time.Duration]int{0: 0, 29 * time.Minute: 0, 31 * time.Minute: 1,
		2 * time.Hour: 1} {
		now = time.Unix(2e9, 0).Add(after)
		if got := ask(set, "GET", "/", field).Cookies(); len(got) != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	pins.Signer = ring("")
	if got := ask(set, "GET", "/"); got.StatusCode != 200 || len(got.Cookies()) != 0 {
		t.Errorf("without a key: %d %v", got.StatusCode, got.Cookies())
	}
}

// A page of the program's own takes a client along to the release in force, and pins nobody who was not.
func TestRepin(t *testing.T) {
	sites := three(t)
	pins := &Pins{Signer: ring("k"), Insecure: true}
	before := &Set{Active: sites[0], Pins: pins}
	cookie := "Cookie: " + ask(before, "GET", "/").Cookies()[0].String()
	after := &Set{Active: sites[1], Others: sites[:1], Pins: pins}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after.Repin(w, r)
		if r.URL.Path != "/own" {
			after.ServeHTTP(w, r)
		}
	})
	document := "Sec-Fetch-Dest: document"
	for _, c := range []struct {
		path   string
		fields []string
		want   int
	}{
		{"/own", []string{document, cookie}, 1},
		{"/own", []string{document}, 0},
		{"/own", []string{"Sec-Fetch-Dest: image", cookie}, 0},
		{"/own", []string{cookie}, 0},
		{"/", []string{document, cookie}, 1}, // once
	} {
		got := ask(page, "GET", c.path, c.fields...).Cookies()
		if len(got) != c.want {
			t.Errorf("%s, %v: %v", c.path, c.fields, got)
		}
		if len(got) == 0 {
			continue
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(got[0])
		if pin, ok := pins.Read(r); !ok || pin.Release != sites[1].Activation().ID {
			t.Errorf("%s: pinned to %+v, %v", c.path, pin, ok)
		}
	}
}

// TestSetOfShare has clients of every kind ask a node that shows the release r2 to a quarter of them since turn 3.
func TestSetOfShare(t *testing.T) {
	r := three(t)
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Now: func() time.Time { return now }, Draw: func() Draw { return 77 }}
	at := func(s *Site, id string, turn uint64) *Site { return s.As(Activation{ID: id, Epoch: 1, Turn: turn}) }
	one, two := at(r[0], "r1", 3), at(r[1], "r2", 3)
	share := Share{Release: "r2", Percent: 25}
	inForce := &Set{Active: one, Others: []*Site{two}, Pins: pins, Share: share, Private: true}
	shown := &Set{Active: two, Others: []*Site{one}, Pins: pins, Share: share, Private: true}
	document, script, plain := "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: script", "Accept: text/html,*/*"
	for _, c := range []struct {
		pin    Pin // Release "" = none
		fields string
		want   string // what For says
		pinned Pin    // what the answer of / pins to; Until aside
	}{
		{Pin{}, document, "r1", Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 77}},
		{Pin{}, plain, "r1", Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 77}},
		{Pin{Release: "r1", Epoch: 1}, document, "r1", Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 77}}, // of before
		{Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 2500}, document, "r2",
			Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 2500}},
		{Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 2501}, document, "r1", Pin{}},
		{Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 1}, plain, "r2", Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 1}},
		{Pin{Release: "r2", Epoch: 1, Turn: 2, Draw: 9}, document, "r2", Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 9}},
		{Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 9}, script, "r2", Pin{}},
		{Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 9}, script, "r1", Pin{}}, // its page is of the release in force still
		// who knows more than this node: that the share has ended, was raised, or all have it
		{Pin{Release: "r1", Epoch: 1, Turn: 4, Draw: 9}, document, "r1", Pin{}},
		{Pin{Release: "r2", Epoch: 1, Turn: 4, Draw: 9000}, document, "r2", Pin{}},
		{Pin{Release: "r2", Epoch: 2, Turn: 4}, document, "r2", Pin{Release: "r2", Epoch: 2, Turn: 4, Draw: 77}},
	} {
		fields := []string{c.fields}
		if c.pin.Release != "" {
			c.pin.Until = now.Add(10 * time.Hour)
			fields = append(fields, "Cookie: __Host-rel="+pins.Encode(c.pin))
		}
		q := httptest.NewRequest("GET", "/", nil)
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			q.Header.Set(name, value)
		}
		if got := inForce.For(q); got != c.want || shown.Behind(q) || inForce.Behind(q) {
			t.Errorf("%+v, %s: %s, and not %s", c.pin, c.fields, got, c.want)
		}
		set := map[string]*Set{"r1": inForce, "r2": shown}[c.want]
		if c.fields == script {
			continue
		}
		w := httptest.NewRecorder()
		set.Repin(w, q) // as for a page of the program's own, and then for one of the content
		set.ServeHTTP(w, q)
		var got Pin
		if n := len(w.Result().Cookies()); n > 1 {
			t.Errorf("%d cookies", n)
		}
		for _, k := range w.Result().Cookies() {
			q := httptest.NewRequest("GET", "/", nil)
			q.AddCookie(k)
			got, _ = pins.Read(q)
			if k.MaxAge != 30*24*3600 || !got.Until.Equal(now.Add(12*time.Hour)) {
				t.Errorf("%+v until %v", k, got.Until)
			}
			got.Until = time.Time{}
		}
		if want := map[string]string{"r1": "page 1", "r2": "page 2"}[c.want]; w.Body.String() != want || got != c.pinned {
			t.Errorf("%+v, %s: %q pinned to %+v, and not %q to %+v", c.pin, c.fields, w.Body, got, want, c.pinned)
		}
		if got := w.Header().Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("%+v, %s: %s", c.pin, c.fields, got)
		}
	}
	coming := &Set{Active: one, Pins: pins, Share: Share{Release: "r2", Percent: 25, Coming: true}}
	for release, want := range map[string]bool{"r1": false, "r2": true} {
		q := httptest.NewRequest("GET", "/", nil)
		q.Header.Set(pinHeader, pins.Encode(Pin{Release: release, Epoch: 1, Turn: 3, Draw: 1, Until: now.Add(time.Hour)}))
		if coming.Behind(q) != want {
			t.Errorf("behind who has a page of %s: %v", release, !want)
		}
	}
}

// A page that answers a form is of one release with what it needs, also where the browser does not say where it goes.
func TestShareOfForms(t *testing.T) {
	r := three(t)
	pins := &Pins{Signer: ring("k")}
	one := r[0].As(Activation{ID: "r1", Epoch: 1, Turn: 3})
	two := r[1].As(Activation{ID: "r2", Epoch: 1, Turn: 3})
	share := Share{Release: "r2", Percent: 25}
	inForce := &Set{Active: one, Others: []*Site{two}, Pins: pins, Share: share}
	shown := &Set{Active: two, Others: []*Site{one}, Pins: pins, Share: share}
	q := httptest.NewRequest("POST", "/order", nil)
	q.Header.Set("Accept", "text/html,*/*")
	q.AddCookie(&http.Cookie{Name: pins.cookieName(), Value: pins.Encode(
		Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 1, Until: time.Now().Add(11 * time.Hour)})})
	if got := inForce.For(q); got != "r2" {
		t.Fatalf("the page is of %s", got)
	}
	w := httptest.NewRecorder()
	shown.Repin(w, q)
	part := httptest.NewRequest("GET", "/style.css", nil)
	part.Header.Set("Accept", "text/css,*/*;q=0.1")
	for _, c := range w.Result().Cookies() {
		part.AddCookie(c)
	}
	if got := inForce.For(part); got != "r2" {
		t.Errorf("what the page needs is of %s: %v", got, w.Header())
	}
}

// A link gives nobody a draw, whoever made it and whatever else it says.
func TestLinkGivesNoDraw(t *testing.T) {
	pins := &Pins{Signer: ring("k"), Draw: func() Draw { return 77 }}
	pin := pins.Encode(Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 1, Until: time.Now().Add(11 * time.Hour)})
	old := pins.Encode(Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 1, Until: time.Now().Add(-time.Hour)})
	if got, ok := pins.Read(httptest.NewRequest("GET", "/?rel="+pin, nil)); !ok || got.Draw != 0 || got.Release != "r2" {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, ok := pins.Read(httptest.NewRequest("GET", "/?rel="+old, nil)); ok || got.Draw != 0 {
		t.Errorf("of a pin that is over: %+v, %v", got, ok)
	}
}

// A draw outlives the rest of its pin, and not for ever.
func TestDrawOutlivesPin(t *testing.T) {
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Now: func() time.Time { return now }}
	q := httptest.NewRequest("GET", "/", nil)
	q.Header.Set(pinHeader, pins.Encode(Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 9, Until: now.Add(12 * time.Hour)}))
	for _, c := range []struct {
		at   time.Duration
		want Pin
		ok   bool
	}{
		{11 * time.Hour, Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 9, Until: now.Add(12 * time.Hour)}, true},
		{12 * time.Hour, Pin{Draw: 9}, true},
		{30*24*time.Hour - time.Second, Pin{Draw: 9}, true},
		{30 * 24 * time.Hour, Pin{Draw: 9}, false},
	} {
		pins.Now = func() time.Time { return now.Add(c.at) }
		if got, ok := pins.Read(q); ok != c.ok || got != c.want {
			t.Errorf("after %v: %+v, %v", c.at, got, ok)
		}
	}
}

// A greater share has all clients of a smaller one, and draws are as many as they should be.
func TestDraw(t *testing.T) {
	if Draw(0).Within(100) {
		t.Error("a client without a draw belongs to a share")
	}
	for percent := range uint64(101) {
		n := uint64(0)
		for d := range draws {
			if d := Draw(d + 1); d.Within(percent) {
				n++
			} else if percent > 0 && d.Within(percent-1) {
				t.Fatalf("%d is in %d %%, and not in %d %%", d, percent-1, percent)
			}
		}
		if n != percent*draws/100 {
			t.Errorf("%d draws of %d are %d %%", n, draws, percent)
		}
	}
	in := 0
	for range 10_000 {
		d := newDraw()
		if d < 1 || d > draws {
			t.Fatalf("drawn: %d", d)
		}
		if d.Within(10) {
			in++
		}
	}
	if in < 1000-8*30 || in > 1000+8*30 { // eight standard deviations
		t.Errorf("%d of 10 000 are a tenth", in)
	}
}

// A response that pins its client is for that client alone (darkweak/souin#805). Others are for all.
func TestPinIsPrivate(t *testing.T) {
	sites := three(t)
	pins := &Pins{Signer: ring("k")}
	set := &Set{Active: sites[0], Pins: pins}
	now := pins.now()
	pinned := func(release string) string {
		return pins.Encode(Pin{Release: release, Epoch: sites[0].release.Epoch, Until: now.Add(12 * time.Hour)})
	}
	for _, c := range []struct {
		page, pin, program, want string
		set                      bool
	}{
		{"content", "", "", "private, no-cache", true},
		{"content", "", "public, max-age=60", "public, max-age=60", true},
		{"content", pinned(sites[0].release.ID), "", "no-cache", false},
		{"content", pinned(sites[1].release.ID), "", "private, no-cache", true},
		{"program", "", "", "", false},
		{"program", pinned(sites[0].release.ID), "", "", false},
		{"program", pinned(sites[1].release.ID), "", "private, no-cache", true},
		{"program", pinned(sites[1].release.ID), "no-store", "no-store", true},
	} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept", "text/html")
		if c.pin != "" {
			r.AddCookie(&http.Cookie{Name: pins.cookieName(), Value: c.pin})
		}
		if c.program != "" {
			w.Header().Set("Cache-Control", c.program)
		}
		if c.page == "program" {
			set.Repin(w, r)
		} else {
			set.ServeHTTP(w, r)
		}
		if got := w.Header().Get("Cache-Control"); got != c.want || (w.Header().Get("Set-Cookie") != "") != c.set {
			t.Errorf("%s, %q, pinned by %q: %v", c.page, c.program, c.pin, w.Header())
		}
	}
}

func TestSetPrivate(t *testing.T) {
	sites := three(t)
	set := &Set{Active: sites[0], Private: true}
	for target, want := range map[string]string{
		"/": "private, no-cache", "/style.css": "no-cache",
		"/app.aaaa1111.js": "public, max-age=31536000, immutable"} {
		if r := ask(set, "GET", target); r.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %v", target, r.Header)
		}
	}
	if r := ask(set, "GET", "/new1"); r.StatusCode != 301 || r.Header.Get("Location") != "./new1/" {
		t.Errorf("%v", r.Header)
	}
	if r := ask(set, "DELETE", "/"); r.StatusCode != 405 {
		t.Errorf("%d", r.StatusCode)
	}
}

// No pin but those that a node signed is one, and reading one ends well whatever it is.
func FuzzPin(f *testing.F) {
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Now: func() time.Time { return now }}
	good := pins.Encode(Pin{Release: "r1", Epoch: 1, Until: now.Add(time.Hour)})
	turned := pins.Encode(Pin{Release: "r1", Epoch: 1, Turn: 2, Draw: 3, Until: now.Add(time.Hour)})
	f.Add(good)
	f.Add(turned)
	f.Add(good[1:])
	f.Add(good + "A")
	f.Add(strings.ReplaceAll(good, ".", ""))
	f.Add(".")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := pins.decode(s); ok && (s != good && s != turned || p.Release != "r1" || p.Epoch != 1) {
			t.Fatalf("%q is %+v", s, p)
		}
	})
}

// A client whose cookie has a draw keeps it where an address names something else as rel: a parameter of the program's
// own, a pin that is over, or that of somebody who has sent him a link.
func TestDrawIsOfTheCookie(t *testing.T) {
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Now: func() time.Time { return now }}
	own := Pin{Release: "r2", Epoch: 1, Turn: 3, Draw: 9, Until: now.Add(10 * time.Hour)}
	other := Pin{Release: "r1", Epoch: 1, Turn: 3, Draw: 9000, Until: now.Add(9 * time.Hour)}
	over, undrawn := other, own
	over.Until, undrawn.Draw = now.Add(-time.Hour), 0
	mine := other
	mine.Draw = own.Draw
	none := mine
	none.Draw = 0
	for _, c := range []struct {
		cookie Pin
		rel    string
		want   Pin
	}{
		{own, "nofollow", own},
		{own, "", own},
		{own, pins.Encode(over), own},
		{own, pins.Encode(other), mine},
		{undrawn, pins.Encode(other), none},
		{Pin{}, pins.Encode(other), other}, // of a client without cookies
	} {
		for _, in := range []string{"header", "query"} {
			q := httptest.NewRequest("GET", "/", nil)
			if in == "query" {
				q.URL.RawQuery = "a=b&rel=" + c.rel
				if c.cookie.Release == "" {
					c.want.Draw = 0 // no link gives one
				}
			} else {
				q.Header.Set(pinHeader, c.rel)
			}
			if c.cookie.Release != "" {
				q.AddCookie(&http.Cookie{Name: pins.cookieName(), Value: pins.Encode(c.cookie)})
			}
			if got, ok := pins.Read(q); !ok || got != c.want {
				t.Errorf("%+v, and %s %q: %+v, %v", c.cookie, in, c.rel, got, ok)
			}
		}
	}
}

// What a page needs is of the page's release also where a browser does not say where it goes, as over plain HTTP: the
// draw that came with a page of the release in force counts from the next page on.
func TestShareWithoutSecFetch(t *testing.T) {
	r := three(t)
	now := time.Unix(2e9, 0)
	pins := &Pins{Signer: ring("k"), Insecure: true, Now: func() time.Time { return now }}
	set := &Set{Active: r[0].As(Activation{ID: "r1", Epoch: 1, Turn: 1}), Pins: pins, Share: Share{Release: "r2", Percent: 10}}
	for _, c := range []struct {
		page   string // of which release the client has one; "" = its pin is over, but for the draw
		accept string
		want   string
	}{
		{"r1", "text/html,application/xhtml+xml,*/*;q=0.8", "r2"},
		{"r1", "text/css,*/*;q=0.1", "r1"},
		{"r1", "*/*", "r1"},
		{"r2", "image/avif,image/webp,*/*;q=0.8", "r2"},
		{"r1", "", "r2"},
		{"", "*/*", "r2"},
	} {
		pin := Pin{Release: c.page, Epoch: 1, Turn: 1, Draw: 9, Until: now.Add(time.Hour)}
		if c.page == "" {
			pin.Release, pin.Until = "r2", now.Add(-time.Hour)
		}
		q := httptest.NewRequest("GET", "/own", nil)
		q.AddCookie(&http.Cookie{Name: "rel", Value: pins.Encode(pin)})
		if c.accept != "" {
			q.Header.Set("Accept", c.accept)
		}
		if got := set.For(q); got != c.want {
			t.Errorf("a page of %s, %q: %s, and not %s", c.page, c.accept, got, c.want)
		}
	}
}
