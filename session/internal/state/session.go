package state

import (
	"encoding/binary"
	"time"
)

// session is one session as the machine keeps it: 80 bytes and a blob. Times are milliseconds since 1970 of the log's
// time. A zero absolute marks a slot without a session.
type session struct {
	key      Key
	values   blob
	created  int64
	seen     int64
	idle     int64
	absolute int64
	mod      uint64
}

func (s *session) deadline() int64 {
	idle := time.Duration(s.idle) * time.Millisecond
	return min(s.seen+s.idle+Granularity(idle).Milliseconds(), s.created+s.absolute)
}

func (s session) record() Record {
	return Record{
		Created:  fromMillis(s.created),
		LastSeen: fromMillis(s.seen),
		Idle:     time.Duration(s.idle) * time.Millisecond,
		Absolute: time.Duration(s.absolute) * time.Millisecond,
		Mod:      s.mod,
		values:   s.values,
	}
}

// session returns all but the key.
func (r Record) session() session {
	return session{
		values:   r.values,
		created:  r.Created.UnixMilli(),
		seen:     r.LastSeen.UnixMilli(),
		idle:     r.Idle.Milliseconds(),
		absolute: r.Absolute.Milliseconds(),
		mod:      r.Mod,
	}
}

// append writes all but the key.
func (s session) append(dst []byte) []byte {
	for _, ms := range [...]int64{s.created, s.seen, s.idle, s.absolute} {
		dst = binary.AppendUvarint(dst, uint64(ms))
	}
	dst = binary.AppendUvarint(dst, s.mod)
	return appendBytes(dst, s.values)
}

// session reads what append wrote. The values are a part of the message.
func (d *decoder) session() session {
	s := session{created: d.millis(), seen: d.millis(), idle: d.millis(), absolute: d.millis(), mod: d.Uint(), values: d.blob()}
	if s.idle == 0 || s.absolute == 0 || s.seen < s.created {
		d.Fail()
	}
	if d.Bad() {
		return session{}
	}
	return s
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
