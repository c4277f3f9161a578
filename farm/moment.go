package farm

import "time"

// opened is when this process began to run.
var opened = time.Now()

// moment returns the time in nanoseconds since 1970, as it was when this process began to run, and goes on as the
// monotonic clock does. It is for differences, where each request needs one: time.Now reads a second clock, which
// takes twice as long.
func moment() int64 { return opened.UnixNano() + int64(time.Since(opened)) }
