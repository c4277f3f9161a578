// Package frame reads what another process has announced the length of.
package frame

import "io"

const step = 64 << 10

// Read reads n bytes, taking memory only for what really comes. An end before that is io.ErrUnexpectedEOF.
func Read(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, step))
	for at := 0; ; {
		m, err := io.ReadFull(r, b[at:])
		if at += m; err != nil {
			return nil, TooEarly(err)
		}
		if at == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-at, max(step, at)))...)
	}
}

// TooEarly returns err, and io.ErrUnexpectedEOF for an end, which is none where something was to come.
func TooEarly(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
