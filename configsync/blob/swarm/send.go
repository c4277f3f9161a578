package swarm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// get sends a blob.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, name string) {
	hash, err := blob.ParseHash(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	peer := peerOf(r)
	if !h.begin(peer) {
		later(w, turnFull)
		return
	}
	defer h.end(peer)
	if !h.store.Has(hash) {
		http.Error(w, "not here", http.StatusNotFound)
		return
	}
	if why := h.turns.take(hash, r.Header.Get(headerInsist) != "", time.Now()); why != "" {
		h.refuse()
		later(w, why)
		return
	}
	sent, whole := h.answer(w, r, hash)
	h.turns.done(hash, whole, time.Now())
	h.count(peer, sent, whole)
}

// answer returns how many bytes it has sent, and whether up to the end of the blob.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, hash blob.Hash) (sent int64, whole bool) {
	f, size, err := h.store.Open(hash)
	switch {
	case errors.Is(err, blob.ErrMissing), errors.Is(err, blob.ErrCorrupt):
		http.Error(w, "not here", http.StatusNotFound)
		return 0, false
	case err != nil:
		later(w, turnFull)
		return 0, false
	}
	defer f.Close()
	from, ok := rangeOf(r, size)
	if !ok {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		http.Error(w, "beyond the end", http.StatusRequestedRangeNotSatisfiable)
		return 0, false
	}
	sent = h.send(w, r, f, hash, from, size)
	return sent, from+sent == size
}

// later refuses, for now.
func later(w http.ResponseWriter, why string) {
	w.Header().Set(headerTurn, why)
	w.Header().Set("Retry-After", "1")
	http.Error(w, why, http.StatusServiceUnavailable)
}

// rangeOf returns where to begin. Of all that a Range may say, "bytes=<n>-" is what peers say; anything else
// counts as none.
func rangeOf(r *http.Request, size int64) (from int64, ok bool) {
	s, isBytes := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	s, isOpen := strings.CutSuffix(s, "-")
	from, err := strconv.ParseInt(s, 10, 64)
	if !isBytes || !isOpen || err != nil || from <= 0 {
		return 0, true
	}
	return from, from < size
}

// contentRange is what an answer says that leaves out the first bytes of a blob.
func contentRange(from, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", from, size-1, size) }

// send returns how many bytes it has sent. It finds out if they were not those that the hash names: the peer
// does, too.
func (h *Handler) send(
	w http.ResponseWriter, r *http.Request, f io.ReaderAt, hash blob.Hash, from, size int64,
) (sent int64) {
	control := http.NewResponseController(w)
	control.SetWriteDeadline(time.Now().Add(h.patience(size - from)))
	defer control.SetWriteDeadline(time.Time{})
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Length", strconv.FormatInt(size-from, 10))
	if from > 0 {
		head.Set("Content-Range", contentRange(from, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	sum := sha256.New()
	for from+sent < size {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-from-sent)], from+sent)
		if n == 0 || err != nil && err != io.EOF {
			h.store.Verify(hash)
			return sent // the connection is closed, since bytes are lacking
		}
		if h.rate.wait(r.Context(), n) != nil {
			return sent
		}
		sum.Write(buf[:n])
		n, err = w.Write(buf[:n])
		sent += int64(n)
		h.turns.moved(hash, time.Now())
		if err != nil {
			return sent
		}
	}
	if from == 0 && blob.Hash(sum.Sum(nil)) != hash {
		h.store.Verify(hash)
	}
	return sent
}

// patience is for how long a peer may read so many bytes.
func (h *Handler) patience(bytes int64) time.Duration {
	allow := h.wait + time.Duration(float64(bytes)/slowestRead*float64(time.Second))
	if h.config.Rate > 0 {
		allow += time.Duration(float64(bytes) / float64(h.config.Rate) * mostSends * float64(time.Second))
	}
	return allow
}
