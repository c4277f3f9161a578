package session

import (
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// The index tells a node how new the session is that the client has seen, so that the client reads its own writes on any
// node. It is no authority for anything: without it a client may see an older state for as long as replication takes.
//
// Its text is base64url of: the id of the signing key, the index, and 12 bytes of HMAC-SHA256 over both, the session's
// key and the cluster's name. So it fits one session in one history. One that does not fit may be of an epoch of the farm
// that this node has yet to follow: the node asks how the session is by now, and a forger waits for that as well.
const (
	indexMacLen = 12
	indexLen    = 4 + 8 + indexMacLen
	indexText   = indexLen / 3 * 4 // 32 characters
)

// indexAge is how long a client keeps an index: a node that is further behind than that does not answer.
func (c *Config) indexAge() time.Duration { return max(time.Minute, c.MaxStale) }

// boundIndex is what an index signs, before the cluster's name: a label, its own bytes, and the session it is bound to.
type boundIndex [1 + 12 + len(StoreKey{})]byte

func bindIndex(head []byte, key StoreKey) (b boundIndex) {
	b[0] = labelIndex
	copy(b[1:], head)
	copy(b[1+12:], key[:])
	return b
}

// mintIndex returns the text of an index; false if there is no key to sign with.
func (s *signer) mintIndex(index uint64, key StoreKey, cluster string) (string, bool) {
	keyID, ok := s.current()
	if !ok {
		return "", false
	}
	k := s.key(keyID)
	if k == nil {
		return "", false
	}
	var b [indexLen]byte
	binary.BigEndian.PutUint32(b[:], keyID)
	binary.BigEndian.PutUint64(b[4:], index)
	bound := bindIndex(b[:12], key)
	k.sum(b[12:], bound[:], cluster)
	return base64.RawURLEncoding.EncodeToString(b[:]), true
}

// readIndex returns the index in text, or 0 if it is not genuine or about another session or history. That of a
// known token costs no MAC if it came before.
func (s *signer) readIndex(text string, token *genuine, cluster string) uint64 {
	var raw [indexLen]byte
	if !decodeText(raw[:], text) {
		return 0
	}
	k := s.key(binary.BigEndian.Uint32(raw[:]))
	if k == nil {
		return 0
	}
	if !token.known.holds(&raw, cluster, k.number) {
		bound := bindIndex(raw[:12], token.key)
		if !k.verify(raw[12:], bound[:], cluster) {
			return 0
		}
		if token.known != nil {
			token.known = s.known.brought(token.known, &raw, cluster, k.number)
		}
	}
	return binary.BigEndian.Uint64(raw[4:])
}

// history remembers which index was the newest some time ago. A change older than that need not be carried by clients.
type history struct {
	span  time.Duration // Config.indexAge
	marks []mark        // oldest first; only for the goroutine that notes
	old   atomic.Uint64 // an index that is older than the span; 0 = none is known to be
}

type mark struct {
	index uint64
	at    time.Time
}

// note records the newest index; six marks in a span are enough. It is for one goroutine.
func (h *history) note(index uint64, now time.Time) {
	if n := len(h.marks); n == 0 || now.Sub(h.marks[n-1].at) >= h.span/6 {
		h.marks = append(h.marks, mark{index, now})
	}
	for len(h.marks) > 1 && now.Sub(h.marks[1].at) >= h.span {
		h.marks = h.marks[1:]
	}
	if now.Sub(h.marks[0].at) >= h.span {
		h.old.Store(h.marks[0].index)
	}
}

// recent reports whether index may be younger than the span.
func (h *history) recent(index uint64) bool { return index > h.old.Load() }
