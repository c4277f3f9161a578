//lint:file-ignore U1000 fields and types are there for NewKey to look at

package session

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

func TestCheckRefusesBombs(t *testing.T) {
	for name, b := range map[string][]byte{
		"map of 2^32":       {0xdf, 0xff, 0xff, 0xff, 0xff},
		"map of 20 million": {0xdf, 0x01, 0x31, 0x2d, 0x00},
		"array of 2^32":     {0xdd, 0xff, 0xff, 0xff, 0xff},
		"bin of 2^32":       {0xc6, 0xff, 0xff, 0xff, 0xff},
		"str of 2^32":       {0xdb, 0xff, 0xff, 0xff, 0xff},
		"ext of 2^32":       {0xc9, 0xff, 0xff, 0xff, 0xff, 1},
		"deep arrays":       bytes.Repeat([]byte{0x91}, 4<<20),
		"deep maps":         bytes.Repeat([]byte{0x81, 0xa0}, 1<<20),
		"empty":             {},
		"two values":        {1, 2},
		"never used":        {0xc1},
		"cut":               {0x92, 1},
	} {
		if check(b) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	deepest := append(bytes.Repeat([]byte{0x91}, maxDepth), 1)
	if err := check(deepest); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if check(append([]byte{0x91}, deepest...)) == nil {
		t.Errorf("%d levels: accepted", maxDepth+1)
	}
}

// What check accepts, the library reads, and to the last byte, without allocating much more than there is.
func FuzzCheck(f *testing.F) {
	for _, v := range []any{nil, true, -1, 1 << 40, 1.5, "text", []byte{1}, []any{1, "a"}, map[string]any{"k": []int{1}}, time.Now()} {
		b, err := msgpack.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xc7, 12, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if check(b) != nil {
			return
		}
		r := bytes.NewReader(b)
		if err := msgpack.NewDecoder(r).Skip(); err == nil && r.Len() != 0 {
			t.Errorf("%x: the library left %d bytes", b, r.Len())
		}
	})
}

// Whatever is stored, decoding it into any type ends in a value or an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xd6, 0xff, 1, 2, 3, 4})
	f.Add([]byte{0x81, 0xa1, 'A', 0x92, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeTo[string](b)
		decodeTo[[]byte](b)
		decodeTo[bool](b)
		decodeTo[int8](b)
		decodeTo[uint64](b)
		decodeTo[float32](b)
		decodeTo[float64](b)
		decodeTo[time.Time](b)
		decodeTo[everything](b)
		decodeTo[map[string][]int](b)
		decodeTo[[3]*int](b)
		decodeTo[map[int8]map[uint16][]float32](b)
		decodeTo[listed](b)
		if v, err := decodeTo[int64](b); err == nil {
			again, err := encode(&v)
			if w, err2 := decodeTo[int64](again); err != nil || err2 != nil || w != v {
				t.Errorf("%x: %d became %d, %v, %v", b, v, w, err, err2)
			}
		}
	})
}

func decodeTo[T any](b []byte) (T, error) { return decode[T](b, shapeOf(reflect.TypeFor[T]())) }

type named string

type everything struct {
	A string
	B []byte
	C map[string]int
	D map[int]named
	E *float64
	F []everything
	G time.Time
	H time.Duration
	I [2]uint8
	J netip.Addr
	K *big.Int
	L bool
	embedded
}

type embedded struct{ X int32 }

// listed is stored as an array.
type listed struct {
	_msgpack struct{} `msgpack:",as_array"`
	N        int8
	At       *time.Time
	Kids     []listed
}

func roundTrip[T any](t *testing.T, values ...T) {
	t.Helper()
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		t.Errorf("%T: %v", *new(T), err)
	}
	for _, v := range values {
		b, err := encode(&v)
		if err != nil || check(b) != nil {
			t.Errorf("%T: %v, check: %v", v, err, check(b))
			continue
		}
		if got, err := decodeTo[T](b); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%T: %v became %v, %v (%x)", v, v, got, err, b)
		}
		if kind := reflect.TypeFor[T]().Kind(); kind != reflect.Struct && kind != reflect.Slice {
			var lib T // the library reads what is written here, and the other way round
			if err := msgpack.Unmarshal(b, &lib); err != nil || !reflect.DeepEqual(lib, v) {
				t.Errorf("%T: the library reads %v, %v", v, lib, err)
			}
			b, _ := msgpack.Marshal(v)
			if got, err := decodeTo[T](b); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%T: of the library's %x: %v, %v", v, b, got, err)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	roundTrip(t, "", "a", strings.Repeat("x", 31), strings.Repeat("x", 32), strings.Repeat("x", 300), strings.Repeat("x", 70000))
	roundTrip(t, nil, []byte{}, []byte{1, 2}, bytes.Repeat([]byte{7}, 300), bytes.Repeat([]byte{7}, 70000))
	roundTrip(t, true, false)
	roundTrip[int](t, 0, 1, 127, 128, -1, -32, -33, -128, -129, 255, 256, 65535, 65536, math.MaxInt32+1, math.MaxInt64, math.MinInt64)
	roundTrip[int8](t, -128, 127)
	roundTrip[int16](t, -32768, 32767)
	roundTrip[int32](t, math.MinInt32, math.MaxInt32)
	roundTrip[int64](t, math.MinInt64, math.MaxInt64)
	roundTrip[uint](t, 0, math.MaxUint64)
	roundTrip[uint8](t, 0, 255)
	roundTrip[uint16](t, 65535)
	roundTrip[uint32](t, math.MaxUint32)
	roundTrip[uint64](t, math.MaxUint64)
	roundTrip[float32](t, 0, 1.5, math.MaxFloat32)
	roundTrip(t, 0, 1.5, math.Inf(-1), math.MaxFloat64)
	roundTrip(t, time.Time{}, time.Unix(1_700_000_000, 0).UTC(), time.Unix(1_700_000_000, 123456789).UTC(),
		time.Date(2600, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC))
	roundTrip[named](t, "x")
	roundTrip(t, []string{"a", "b"})
	roundTrip(t, map[string]int{"a": 1})
	roundTrip(t, struct{}{})
	n := 2.5
	roundTrip(t, everything{A: "a", B: []byte{1}, C: map[string]int{"x": 1}, D: map[int]named{-5: "y"}, E: &n,
		F: []everything{{A: "inner"}}, H: time.Second, I: [2]uint8{1, 2}, J: netip.MustParseAddr("::1"),
		K: big.NewInt(1 << 60), L: true, embedded: embedded{X: 4}})
}

type (
	myTime  time.Time
	opaque  struct{ _ int }
	wrapper struct{ V any }
	ring    struct{ Next *ring }
	ringA   struct{ B ringB }
	ringB   struct{ A [1]*ringA }
	stamped struct {
		time.Time
		Note string
	}
	tree     struct{ Kids []tree }
	bigs     map[string]big.Int
	half     int
	viaSlice struct{ S []*viaSlice }

	base     struct{ Name string }
	extra    struct{ Name string }
	shadowed struct { // the library stores both by "Name"
		base
		Name string
	}
	Base   struct{ Name string }
	beside struct { // the library stores the second as a struct of its own
		Name string
		Base
	}
	both struct {
		Base
		Extra
	}
	Extra   struct{ Name string }
	sameTag struct {
		X int `msgpack:"n"`
		Y int `msgpack:"n"`
	}
	tagIsName struct {
		ID   int `msgpack:"Name"`
		Name string
	}
	tagIsEmbedded struct {
		X int `msgpack:"Base"`
		Base
	}
	sameAlias struct {
		X int `msgpack:"x,alias:Y"`
		Y int
	}
	forced struct {
		Name string
		Base `msgpack:",inline"`
	}
	byPointer struct {
		*Base
		Z int
	}
	lone      struct{ *big.Int }
	num       int
	embedsNum struct {
		num
		Z int
	}
	mixed struct {
		Name  string
		count int
	}
	leftOut struct {
		Name  string
		Cache any `msgpack:"-"`
		count int `msgpack:"-"`
	}
	omits struct {
		L []int `msgpack:",omitempty"`
	}
	omitsAll struct {
		_msgpack struct{} `msgpack:",omitempty"`
		M        map[string]int
	}
	zeroer   struct{ V int }
	omitsOwn struct {
		Z zeroer `msgpack:",omitempty"`
	}
	omitsFine struct {
		P *int      `msgpack:",omitempty"`
		S string    `msgpack:",omitempty"`
		T time.Time `msgpack:",omitempty"`
	}
	onlyDecodes struct{ V int }
	pointerKey  string
)

func (z zeroer) IsZero() bool                         { return z.V < 2 }
func (*onlyDecodes) UnmarshalText([]byte) error       { return nil }
func (k *pointerKey) MarshalText() ([]byte, error)    { return []byte(*k), nil }
func (k *pointerKey) UnmarshalText(text []byte) error { *k = pointerKey(text); return nil }

func (half) MarshalText() ([]byte, error) { return nil, errors.New("never") }

func TestTypesThatWouldNotSurvive(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{new(any), "interface"},
		{new(wrapper), "interface"},
		{new(map[string]any), "interface"},
		{new(error), "interface"},
		{new(chan int), "chan"},
		{new(func()), "func"},
		{new(complex128), "complex128"},
		{new(uintptr), "uintptr"},
		{new(opaque), "without exported fields"},
		{new([]map[string]opaque), "without exported fields"},
		{new(myTime), "named time type"},
		{new(map[float64]int), "keys of type float64"},
		{new(map[[2]int]int), "keys of type"},
		{new(ring), "by pointers"},
		{new(ringA), "by pointers"},
		{new(map[string]*ring), "by pointers"},
		{new(stamped), "name the field"},
		{new(bigs), "in a map"},
		{new(half), "none to decode"},
		{new(onlyDecodes), "none to encode"},
		{new(map[pointerKey]int), "in a map"},
		{new(shadowed), "shadowed.base.Name and session.shadowed.Name would both be stored as \"Name\""},
		{new(forced), "both be stored as \"Name\""},
		{new([]sameTag), "both be stored as \"n\""},
		{new(tagIsName), "both be stored as \"Name\""},
		{new(tagIsEmbedded), "both be stored as \"Base\""},
		{new(sameAlias), "both be stored as \"Y\""},
		{new(byPointer), "byPointer.Base is an embedded pointer"},
		{new(lone), "embedded pointer"},
		{new(embedsNum), "unexported type"},
		{new(mixed), "mixed.count is not exported"},
		{new(omits), "omits.L is left out when it is empty"},
		{new(omitsAll), "left out when it is empty"},
		{new(omitsOwn), "left out when it is empty"},
		{new(*[]int), "nil itself"},
		{new(**int), "nil itself"},
		{new(map[string]*map[string]int), "nil itself"},
		{new(*big.Float), "big.Float"},
	} {
		err := checkType(reflect.TypeOf(c.v).Elem())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want …%s…", c.v, err, c.want)
		}
	}
	for _, v := range []any{new(tree), new(viaSlice), new(map[string]tree), new(*int), new([]big.Int), new(map[string]*big.Int),
		new(beside), new(both), new(leftOut), new(omitsFine), new(listed)} {
		if err := checkType(reflect.TypeOf(v).Elem()); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// Names are as the library has them: what it stores as two things comes back as two.
func TestEmbeddedComesBack(t *testing.T) {
	roundTrip(t, beside{"outer", Base{"inner"}})
	roundTrip(t, both{Base{"a"}, Extra{"b"}})
	roundTrip(t, leftOut{Name: "x"})
	one := 0
	roundTrip(t, omitsFine{P: &one}, omitsFine{T: time.Unix(1, 0).UTC()}, omitsFine{})
	roundTrip(t, listed{N: -1, Kids: []listed{{N: 2, Kids: []listed{}}}})
}

type clocks struct {
	At    time.Time
	P     *time.Time
	L     []time.Time
	A     [2]time.Time
	M     map[string]time.Time
	D     []map[int][]*time.Time
	Kids  []clocks
	Plain struct{ time.Time }
	embeddedClock
}

type embeddedClock struct{ Since time.Time }

// The zone of a time depends neither on where in the value it stands, nor on the zone of whoever wrote it, nor on that of the
// machine which reads it.
func TestTimesAreUTCAtAnyDepth(t *testing.T) {
	old := time.Local
	defer func() { time.Local = old }()
	time.Local = time.FixedZone("here", 9*3600)
	of := func(at time.Time) clocks {
		c := clocks{At: at, P: &at, L: []time.Time{at, {}}, A: [2]time.Time{at, at}, M: map[string]time.Time{"a": at},
			D: []map[int][]*time.Time{{1: {&at, nil}}}, embeddedClock: embeddedClock{at}}
		c.Plain.Time = at
		c.Kids = []clocks{{At: at}}
		return c
	}
	at := time.Date(2026, 1, 31, 23, 30, 0, 5, time.UTC)
	want := of(at)
	for _, zone := range []*time.Location{time.UTC, time.Local, time.FixedZone("there", -5*3600)} {
		v := of(at.In(zone))
		b, err := encode(&v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeTo[clocks](b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("in %v: %+v, %v", zone, got, err)
		}
		p := &v.At
		b, _ = encode(&p)
		if got, err := decodeTo[*time.Time](b); err != nil || !reflect.DeepEqual(*got, at) {
			t.Errorf("a pointer, in %v: %v, %v", zone, got, err)
		}
	}
	roundTrip(t, want)
}

// become stores v as one type and reads it as another, as programs do after a change of the type.
func become[To, From any](t *testing.T, v From, want bool) {
	t.Helper()
	b, err := encode(&v)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeTo[To](b); (err == nil) != want {
		t.Errorf("%T %v as %T: %v, %v; want a value: %v", v, v, got, got, err, want)
	}
}

type (
	wide    struct{ N int64 }
	narrow  struct{ N int8 }
	single  struct{ N float32 }
	listed8 struct {
		_msgpack struct{} `msgpack:",as_array"`
		N        int8
	}
	listed64 struct {
		_msgpack struct{} `msgpack:",as_array"`
		N        int64
	}
)

// A number that does not fit makes the value one of another type, wherever it stands. The library would cut it off.
func TestNumberThatDoesNotFit(t *testing.T) {
	become[narrow](t, wide{127}, true)
	become[narrow](t, wide{-128}, true)
	become[narrow](t, wide{128}, false)
	become[narrow](t, wide{-129}, false)
	become[struct{ N uint8 }](t, wide{255}, true)
	become[struct{ N uint8 }](t, wide{-1}, false)
	become[struct{ N uint64 }](t, wide{-1}, false)
	become[wide](t, struct{ N uint64 }{1 << 63}, false)
	become[wide](t, struct{ N uint64 }{1<<63 - 1}, true)
	become[single](t, wide{1 << 24}, true)
	become[single](t, wide{1<<24 + 1}, false)
	become[struct{ N float64 }](t, wide{-1 << 53}, true)
	become[struct{ N float64 }](t, wide{math.MinInt64}, false)
	become[single](t, struct{ N float64 }{1.5}, false)
	become[[]int8](t, []int{1, 2, 300}, false)
	become[[3]int8](t, []int{1, 2, 3}, true)
	become[map[string]*int8](t, map[string]int{"a": 1, "b": 300}, false)
	become[map[int8]string](t, map[int]string{300: "x"}, false)
	become[map[int8]string](t, map[int]string{-3: "x"}, true)
	become[[]map[string][]narrow](t, []map[string][]wide{{"a": {{1}, {1000}}}}, false)
	become[[]map[string][]narrow](t, []map[string][]wide{{"a": {{1}, {100}}}}, true)
	become[listed8](t, listed64{N: 128}, false)
	become[listed8](t, listed64{N: 127}, true)
	become[*int8](t, 300, false)
	become[narrow](t, map[string]int{"N": 300}, false)
	become[narrow](t, map[string]int{"M": 300, "N": 3}, true)
	become[time.Duration](t, uint64(1<<63), false)
	become[everything](t, struct{ X int64 }{1 << 31}, false) // of a struct embedded there
}

func TestNewKeyPanics(t *testing.T) {
	for _, f := range []func(){
		func() { NewKey[int]("") },
		func() { NewKey[int](strings.Repeat("x", 65)) },
		func() { NewKey[int]("a\nb") },
		func() { NewKey[int]("a\xff") },
		func() { NewKey[any]("a") },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "session: ") {
					t.Errorf("panic %v", s)
				}
			}()
			f()
		}()
	}
	if k := NewKey[int]("größe 1"); k.Name() != "größe 1" {
		t.Errorf("name %q", k.Name())
	}
}
