package support

import (
	"bytes"
	"sync"
)

// Tail keeps the end of a log: whole lines, as many as fit.
type Tail struct {
	mu   sync.Mutex
	ring []byte
	at   int  // where the next byte goes
	full bool // it has gone round
}

// NewTail returns a Tail of so many bytes.
func NewTail(size int) *Tail { return &Tail{ring: make([]byte, size)} }

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := b[max(0, len(b)-len(t.ring)):]
	for len(rest) > 0 {
		n := copy(t.ring[t.at:], rest)
		if t.at += n; t.at == len(t.ring) {
			t.at, t.full = 0, true
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// Bytes returns what is kept, oldest line first.
func (t *Tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.full {
		return bytes.Clone(t.ring[:t.at])
	}
	all := append(bytes.Clone(t.ring[t.at:]), t.ring[:t.at]...)
	_, whole, _ := bytes.Cut(all, []byte("\n")) // the first has lost its beginning
	return whole
}
