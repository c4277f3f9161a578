package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// One request for many small blobs. The answer has for each blob, in the order in which they were asked for, one
// byte that says what becomes of it. After manySent come its size, 4 bytes with the highest first, and its bytes.
const (
	manySent  = 0
	manyNone  = 1 // it is not here, or not small
	manyBusy  = 2 // as by headerTurn
	manySpent = 3
	manyFull  = 4 // the answer is full, or the blob cannot be read now
)

const (
	mostMany  = 256      // blobs in one answer
	manyBytes = 1 << 20  // of blobs, in one answer
	wantBytes = 1 << 17  // of blobs that are asked for together: two of the largest
	smallBlob = 64 << 10 // bytes of a blob that is asked for together with others, at most
)

// many sends small blobs. A blob has its turn when it is sent, and not when it is asked for.
func (h *Handler) many(w http.ResponseWriter, r *http.Request) {
	peer := peerOf(r)
	if !h.begin(peer) {
		later(w, turnFull)
		return
	}
	defer h.end(peer)
	asked, ok := h.hashes(w, r, mostMany)
	if !ok {
		return
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // otherwise it ends the request's context while a slow answer is sent
	control.SetWriteDeadline(time.Now().Add(h.patience(manyBytes)))
	defer control.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	m := manyWriter{h: h, ctx: r.Context(), w: w, peer: peer, buf: buf[:0]}
	for len(asked) > 0 && m.err == nil {
		m.add(blob.Hash(asked))
		asked = asked[len(blob.Hash{}):]
	}
	m.flush()
}

// manyWriter is one answer. It writes when its buffer is full.
type manyWriter struct {
	h     *Handler
	ctx   context.Context
	w     io.Writer
	peer  string
	buf   []byte
	held  []blob.Ref // in buf; they have their turn
	bytes int64      // of blobs, so far
	err   error
}

// add answers for one blob.
func (m *manyWriter) add(hash blob.Hash) {
	if len(m.buf)+1+4+smallBlob > cap(m.buf) {
		if m.flush(); m.err != nil {
			return
		}
	}
	if !m.h.store.Has(hash) {
		m.buf = append(m.buf, manyNone)
		return
	}
	switch m.h.turns.take(hash, false, time.Now()) {
	case turnBusy:
		m.refuse(manyBusy)
		return
	case turnSpent:
		m.refuse(manySpent)
		return
	}
	if code := m.read(hash); code != manySent {
		m.h.turns.done(hash, false, time.Now())
		m.refuse(code)
	}
}

func (m *manyWriter) refuse(code byte) {
	m.h.refuse()
	m.buf = append(m.buf, code)
}

// read puts a blob into the buffer, or returns why not. What the disk has damaged is not sent.
func (m *manyWriter) read(hash blob.Hash) (code byte) {
	f, size, err := m.h.store.Open(hash)
	switch {
	case errors.Is(err, blob.ErrMissing), errors.Is(err, blob.ErrCorrupt):
		return manyNone
	case err != nil: // such as no descriptors: it is here, and may be asked for again
		return manyFull
	}
	defer f.Close()
	switch {
	case size > smallBlob:
		return manyNone
	case m.bytes+size > manyBytes:
		return manyFull
	}
	start := len(m.buf)
	b := binary.BigEndian.AppendUint32(append(m.buf, manySent), uint32(size))
	b = b[:len(b)+int(size)]
	text := b[start+1+4:]
	if n, _ := f.ReadAt(text, 0); n < len(text) || sha256.Sum256(text) != hash {
		m.h.store.Verify(hash)
		return manyNone
	}
	m.buf = b
	m.bytes += size
	m.held = append(m.held, blob.Ref{Hash: hash, Size: size})
	return manySent
}

// flush sends what is in the buffer. What could not be sent has not had its turn.
func (m *manyWriter) flush() {
	if m.err == nil {
		m.err = m.h.rate.wait(m.ctx, len(m.buf))
	}
	if m.err == nil {
		_, m.err = m.w.Write(m.buf)
	}
	now := time.Now()
	for _, r := range m.held {
		m.h.turns.done(r.Hash, m.err == nil, now)
		if m.err == nil {
			m.h.count(m.peer, r.Size, true)
		}
	}
	m.buf, m.held = m.buf[:0], m.held[:0]
}
