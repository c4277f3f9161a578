package cron

import (
	"errors"
	"fmt"
	"strings"
)

// field is one of the fields of an expression, and what may be written in it.
type field struct {
	name     string
	low, top int // what * means
	names    []string
	allowed  string
}

var fields = []field{
	{name: "second", low: 0, top: 59, allowed: "0-59"},
	{name: "minute", low: 0, top: 59, allowed: "0-59"},
	{name: "hour", low: 0, top: 23, allowed: "0-23"},
	{name: "day of month", low: 1, top: 31, allowed: "1-31"},
	{name: "month", low: 1, top: 12, allowed: "1-12 or JAN-DEC", names: []string{
		"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "day of week", low: 0, top: 6, allowed: "0-7 (0 and 7 are Sunday) or SUN-SAT", names: []string{
		"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// words are what may be written instead of fields.
var words = map[string]string{
	"@hourly":  "0 * * * *",
	"@daily":   "0 0 * * *",
	"@weekly":  "0 0 * * 0",
	"@monthly": "0 0 1 * *",
	"@yearly":  "0 0 1 1 *",
}

const maxLength = 1000 // bytes of an expression: six full lists are shorter

// Parse reads an expression, as "*/5 8-17 * * MON-FRI", whose times are local times of zone, a name of the tz
// database, as "UTC" or "Europe/Berlin". The fields are minute, hour, day of month, month and day of week; a
// sixth one before them is the second, else it is 0. @hourly, @daily, @weekly, @monthly and @yearly stand for
// fields.
//
// If day of month and day of week are both without *, a day needs to fit only one of them, as crontab(5) has
// it. An error says which field is wrong and what is allowed. A schedule that is never due is an error too.
func Parse(expr, zone string) (Schedule, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return Schedule{}, err
	}
	s, err := parse(expr)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %s: %w", short(expr), err)
	}
	s.zone = loc
	return s, nil
}

func parse(expr string) (Schedule, error) {
	if len(expr) > maxLength {
		return Schedule{}, fmt.Errorf("it has %d bytes, and at most %d are allowed", len(expr), maxLength)
	}
	parts := split(expr)
	if len(parts) > 0 && strings.HasPrefix(parts[0], "@") {
		text, ok := words[strings.ToLower(strings.Join(parts, " "))]
		if !ok {
			return Schedule{}, errors.New("words with @ are @hourly, @daily, @weekly, @monthly and @yearly; " +
				"every five minutes is */5 * * * *")
		}
		parts = split(text)
	}
	if len(parts) != 5 && len(parts) != 6 {
		return Schedule{}, fmt.Errorf("it has %d fields, and needs 5: minute, hour, day of month, month, "+
			"day of week; or 6, with the second before them", len(parts))
	}
	s := Schedule{expr: strings.Join(parts, " ")}
	if len(parts) == 5 {
		parts = append([]string{"0"}, parts...)
	}
	for i, into := range []*set{&s.second, &s.minute, &s.hour, &s.day, &s.month, &s.weekday} {
		var err error
		if *into, err = fields[i].parse(parts[i]); err != nil {
			return Schedule{}, err
		}
	}
	s.either = !strings.Contains(parts[3], "*") && !strings.Contains(parts[5], "*")
	s.fixed = !strings.ContainsAny(parts[2], "*/") && s.hour != 1<<24-1
	if _, ok := s.nextDay(0); !ok {
		return Schedule{}, fmt.Errorf("it is never due: no year has a day that fits "+
			"day of month %s, month %s and day of week %s", short(parts[3]), short(parts[4]), short(parts[5]))
	}
	return s, nil
}

func split(expr string) []string {
	return strings.FieldsFunc(expr, func(r rune) bool { return r == ' ' || r == '\t' })
}

// parse reads a list: one or more items between commas.
func (f field) parse(text string) (set, error) {
	var all set
	for item := range strings.SplitSeq(text, ",") {
		one, err := f.item(item)
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w; allowed are %s, ranges of these as a-b, *, "+
				"steps as */n and a-b/n, and lists of these with commas", f.name, short(text), err, f.allowed)
		}
		all |= one
	}
	if f.sundays() && all.has(7) {
		all = all&^(1<<7) | 1
	}
	return all, nil
}

func (f field) sundays() bool { return f.top == 6 }

// item reads one of *, a, a-b, */n and a-b/n.
func (f field) item(text string) (set, error) {
	span, step, stepped := strings.Cut(text, "/")
	low, top, err := f.span(span)
	if err != nil {
		return 0, err
	}
	by := 1
	if stepped {
		if span != "*" && !strings.Contains(span, "-") {
			return 0, fmt.Errorf("the step of %s needs a range, as %d-%d/n", short(text), low, f.top)
		}
		var ok bool
		if by, ok = number(step); !ok || by < 1 || by > max(top-low, 1) {
			return 0, fmt.Errorf("the step %s is not in 1-%d", short(step), max(top-low, 1))
		}
	}
	var s set
	for i := low; i <= top; i += by {
		s |= 1 << i
	}
	return s, nil
}

// span reads one of *, a and a-b.
func (f field) span(text string) (low, top int, err error) {
	if text == "*" {
		return f.low, f.top, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if low, err = f.value(from); err != nil || !isRange {
		return low, low, err
	}
	if top, err = f.value(to); err != nil {
		return 0, 0, err
	}
	if f.sundays() && top == 0 && low > 0 && strings.EqualFold(to, "SUN") {
		top = 7 // FRI-SUN can mean only one thing
	}
	if low > top {
		return 0, 0, fmt.Errorf("the range %s runs backwards: write two, with a comma", short(text))
	}
	return low, top, nil
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.low + i, nil
		}
	}
	top := f.top
	if f.sundays() {
		top = 7
	}
	n, ok := number(text)
	switch {
	case text == "":
		return 0, errors.New("something is missing")
	case !ok && strings.ContainsAny(text, "?LlWw#"):
		return 0, fmt.Errorf("%s is not supported, nor is anything with ?, L, W or #", short(text))
	case !ok:
		return 0, fmt.Errorf("%s is no number of one or two digits and no name", short(text))
	case n < f.low || n > top:
		return 0, fmt.Errorf("%d is not in %d-%d", n, f.low, top)
	}
	return n, nil
}

// number reads one or two digits.
func number(text string) (int, bool) {
	if len(text) < 1 || len(text) > 2 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

func short(text string) string {
	if len(text) > 40 {
		return fmt.Sprintf("%q...", text[:40])
	}
	return fmt.Sprintf("%q", text)
}
