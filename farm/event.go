package farm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is one message of an EventStream, as the HTML standard defines server-sent events.
type Event struct {
	// ID is what the client sends as Last-Event-ID when it connects again; "" = as before. It holds no line
	// break and no NUL.
	ID string

	// Name is the type of the event, for which a browser's EventSource has listeners; "" = "message". It
	// holds no line break.
	Name string

	// Data is any text in UTF-8. The client gets its line breaks as \n, however they were written. An event
	// with neither Name nor Data reaches no listener: it sets ID and Retry.
	Data string

	// Retry is how long the client waits before it connects again, from now on; 0 = as before. It counts in
	// milliseconds.
	Retry time.Duration
}

// check says in a sentence why an event cannot be sent.
func (e Event) check() error {
	switch {
	case strings.ContainsAny(e.ID, "\r\n\x00"):
		return fmt.Errorf("farm: the ID %q of an event holds a line break or NUL", e.ID)
	case strings.ContainsAny(e.Name, "\r\n"):
		return fmt.Errorf("farm: the name %q of an event holds a line break", e.Name)
	case e.Retry < 0:
		return fmt.Errorf("farm: the Retry %v of an event is negative", e.Retry)
	}
	return nil
}

// appendTo appends an event that check has passed.
func (e Event) appendTo(b []byte) []byte {
	if e.Retry > 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, max(e.Retry.Milliseconds(), 1), 10)
		b = append(b, '\n')
	}
	if e.ID != "" {
		b = append(b, "id: "+e.ID+"\n"...)
	}
	if e.Name != "" {
		b = append(b, "event: "+e.Name+"\n"...)
	}
	if e.Name != "" || e.Data != "" {
		b = appendData(b, e.Data)
	}
	return append(b, '\n')
}

// appendData appends a data field for each line: \n, \r\n and \r end one.
func appendData(b []byte, data string) []byte {
	for {
		end := strings.IndexAny(data, "\r\n")
		if end < 0 {
			return append(append(append(b, "data: "...), data...), '\n')
		}
		b = append(append(append(b, "data: "...), data[:end]...), '\n')
		if strings.HasPrefix(data[end:], "\r\n") {
			end++
		}
		data = data[end+1:]
	}
}
