package session

import (
	"reflect"
	"time"
)

// shape is what NewKey knows of a type's stored form, for two things that the msgpack library does not do: to notice a number
// that does not fit, which the library cuts off, and to bring times back in UTC, which it brings back in the zone of
// the machine. Both at any depth.
type shape struct {
	kind    shapeKind
	bits    int               // of a number
	elem    *shape            // of lists, maps, pointers
	key     *shape            // of maps
	names   map[string]*shape // of structs
	fields  []shapeField      // of structs
	numbers bool              // there may be a number somewhere in it
	times   bool              // there may be a time somewhere in it
}

type shapeField struct {
	*shape
	index []int
}

type shapeKind uint8

const (
	otherShape shapeKind = iota // the library alone decides
	signedShape
	unsignedShape
	floatShape
	timeShape
	pointerShape
	listShape
	mapShape
	structShape
	embeddedTimeShape // a struct that holds a time.Time and has its format
)

// shapeOf returns the shape of a type that checkType has found to be good.
func shapeOf(t reflect.Type) *shape {
	b := shapeBuilder{}
	s := b.build(t)
	for _, one := range b {
		one.numbers = one.reaches(map[*shape]bool{}, func(s *shape) bool { return s.bits > 0 })
		one.times = one.reaches(map[*shape]bool{}, func(s *shape) bool { return s.kind == timeShape || s.kind == embeddedTimeShape })
	}
	return s
}

// shapeBuilder has one shape per type: a type may hold values of its own.
type shapeBuilder map[reflect.Type]*shape

func (b shapeBuilder) build(t reflect.Type) *shape {
	if s := b[t]; s != nil {
		return s
	}
	s := &shape{}
	b[t] = s
	if t == reflect.TypeFor[time.Time]() {
		s.kind = timeShape
		return s
	}
	if own, _ := hasOwnFormat(t, "", true); own {
		if t.Kind() == reflect.Struct && t.NumField() == 1 && t.Field(0).Anonymous && t.Field(0).Type == reflect.TypeFor[time.Time]() {
			s.kind = embeddedTimeShape
		}
		return s
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.kind, s.bits = signedShape, t.Bits()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.kind, s.bits = unsignedShape, t.Bits()
	case reflect.Float32, reflect.Float64:
		s.kind, s.bits = floatShape, t.Bits()
	case reflect.Pointer:
		s.kind, s.elem = pointerShape, b.build(t.Elem())
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() != reflect.Uint8 { // these are stored as bytes
			s.kind, s.elem = listShape, b.build(t.Elem())
		}
	case reflect.Map:
		s.kind, s.elem, s.key = mapShape, b.build(t.Elem()), b.build(t.Key())
	case reflect.Struct:
		b.fields(s, t)
	}
	return s
}

func (b shapeBuilder) fields(s *shape, t reflect.Type) {
	s.kind, s.names = structShape, map[string]*shape{}
	fields, _ := fieldsOf(t, "")
	for _, f := range fields.list {
		one := b.build(f.t)
		s.names[f.name] = one
		s.fields = append(s.fields, shapeField{one, f.index})
	}
}

func (s *shape) reaches(seen map[*shape]bool, ok func(*shape) bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	if ok(s) || s.elem.reaches(seen, ok) || s.key.reaches(seen, ok) {
		return true
	}
	for _, f := range s.fields {
		if f.reaches(seen, ok) {
			return true
		}
	}
	return false
}

// fits reports whether all numbers of the first value in b fit into what a value of this shape has for them, and
// returns what follows that value. check has accepted b. What is no number where one is wanted is left for the library to
// refuse.
func (s *shape) fits(b []byte) (rest []byte, ok bool) {
	if s == nil || !s.numbers || b[0] == 0xc0 {
		return skipValue(b, maxDepth)
	}
	switch s.kind {
	case signedShape, unsignedShape, floatShape:
		rest, _ = skipValue(b, maxDepth)
		return rest, s.holds(b[:len(b)-len(rest)])
	case pointerShape:
		return s.elem.fits(b)
	case listShape:
		if n, items, ok := arrayItems(b); ok {
			return fitAll(items, n, func(uint64, []byte) *shape { return s.elem })
		}
	case mapShape:
		if n, items, ok := mapItems(b); ok {
			return fitAll(items, 2*n, func(i uint64, _ []byte) *shape {
				if i%2 == 0 {
					return s.key
				}
				return s.elem
			})
		}
	case structShape:
		return s.fieldsFit(b)
	}
	return skipValue(b, maxDepth)
}

func (s *shape) fieldsFit(b []byte) (rest []byte, ok bool) {
	if n, items, ok := arrayItems(b); ok && n == uint64(len(s.fields)) {
		return fitAll(items, n, func(i uint64, _ []byte) *shape { return s.fields[i].shape })
	}
	n, items, ok := mapItems(b)
	if !ok {
		return skipValue(b, maxDepth)
	}
	var field *shape
	return fitAll(items, 2*n, func(i uint64, item []byte) *shape {
		if i%2 == 1 {
			return field
		}
		field = nil
		after, _ := skipValue(item, maxDepth)
		item = item[:len(item)-len(after)]
		if name, ok := readString(item); ok {
			field = s.names[string(name)]
		} else if name, ok := readBytes(item); ok {
			field = s.names[string(name)]
		}
		return nil
	})
}

// fitAll goes through n values at the beginning of b. of says which shape the ith of them, which its argument begins with,
// must fit.
func fitAll(b []byte, n uint64, of func(i uint64, b []byte) *shape) (rest []byte, ok bool) {
	for i := range n {
		if b, ok = of(i, b).fits(b); !ok {
			return nil, false
		}
	}
	return b, true
}

// holds reports whether a number of this shape can hold the one in b; true if there is none in b.
func (s *shape) holds(b []byte) bool {
	v, negative, ok := readInteger(b)
	if !ok {
		return true
	}
	switch s.kind {
	case signedShape:
		n := int64(v)
		return negative == (n < 0) && n == n<<(64-s.bits)>>(64-s.bits)
	case unsignedShape:
		return !negative && v == v<<(64-s.bits)>>(64-s.bits)
	}
	digits := 53
	if s.bits == 32 {
		digits = 24
	}
	if negative {
		v = -v
	}
	return v <= 1<<digits
}

// arrayItems returns the number of items if b begins with an array, and where they begin.
func arrayItems(b []byte) (n uint64, items []byte, ok bool) {
	switch c := b[0]; {
	case c >= 0x90 && c <= 0x9f:
		return uint64(c & 0x0f), b[1:], true
	case c == 0xdc || c == 0xdd:
		return length(b[1:], formats[c-0xc0].length)
	}
	return 0, nil, false
}

// mapItems returns the number of pairs if b begins with a map, and where they begin.
func mapItems(b []byte) (n uint64, items []byte, ok bool) {
	switch c := b[0]; {
	case c >= 0x80 && c <= 0x8f:
		return uint64(c & 0x0f), b[1:], true
	case c == 0xde || c == 0xdf:
		return length(b[1:], formats[c-0xc0].length)
	}
	return 0, nil, false
}

// utc brings all times in a value of this shape into UTC.
func (s *shape) utc(v reflect.Value) {
	if s == nil || !s.times {
		return
	}
	switch s.kind {
	case timeShape:
		t := v.Addr().Interface().(*time.Time)
		*t = t.UTC()
	case embeddedTimeShape:
		t := v.Field(0).Addr().Interface().(*time.Time)
		*t = t.UTC()
	case pointerShape:
		if !v.IsNil() {
			s.elem.utc(v.Elem())
		}
	case listShape:
		for i := range v.Len() {
			s.elem.utc(v.Index(i))
		}
	case mapShape:
		one := reflect.New(v.Type().Elem()).Elem()
		for key, value := range v.Seq2() {
			one.Set(value)
			s.elem.utc(one)
			v.SetMapIndex(key, one)
		}
	case structShape:
		for _, f := range s.fields {
			f.utc(v.FieldByIndex(f.index))
		}
	}
}
