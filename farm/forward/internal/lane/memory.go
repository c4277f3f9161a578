package lane

import (
	"net/http"
	"sync/atomic"
)

// keptMost is how long a body may be that is kept for every attempt, if there is memory for it.
const keptMost = 64 << 10

// Memory is what the bodies of a node's clients may take that are kept for every attempt, and longer than
// 16 KiB: shorter ones are no longer than what a connection takes anyway.
type Memory struct{ left atomic.Int64 }

// NewMemory returns memory of so many bytes.
func NewMemory(size int64) *Memory {
	m := &Memory{}
	m.left.Store(size)
	return m
}

// take reports false if there is not so much left.
func (m *Memory) take(n int64) bool {
	if m == nil {
		return false
	}
	if m.left.Add(-n) < 0 {
		m.left.Add(n)
		return false
	}
	return true
}

// Upload is like NewUpload, and keeps bodies of up to 64 KiB while there is memory. Release gives it back.
func (m *Memory) Upload(r *http.Request) *Upload {
	n := r.ContentLength
	if n <= shortMost || n > keptMost || !keepable(r) || !m.take(n) {
		return NewUpload(r)
	}
	u := &Upload{r: r, body: r.Body, memory: m, took: n}
	u.readShort()
	return u
}

// Release says that the request is over, and nobody reads the body any more. Of a nil Upload it does nothing.
func (u *Upload) Release() {
	if u == nil || u.memory == nil {
		return
	}
	u.memory.left.Add(u.took)
	u.memory = nil
}
