package support

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// maxPieces bounds the reads and writes that are kept of a connection.
const maxPieces = 16384

// Wire keeps what a connection carries, for a while: so many bytes at most, both ways together. Its
// Tap may be called by several at once.
type Wire struct {
	mu     sync.Mutex
	left   int
	pieces []piece
	came   []byte
	went   []byte
	lost   int // bytes that were carried and are not kept
	full   chan struct{}
}

// piece is one read or write.
type piece struct {
	at   time.Time
	sent bool
	size int
}

// NewWire keeps so many bytes at most.
func NewWire(most int) *Wire { return &Wire{left: most, full: make(chan struct{})} }

// Full is closed when no more is kept.
func (w *Wire) Full() <-chan struct{} { return w.full }

// Tap takes what came, or was sent. It keeps a copy.
func (w *Wire) Tap(sent bool, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(b) == 0 {
		return
	}
	if len(w.pieces) >= maxPieces || w.left == 0 {
		w.lost += len(b)
		return
	}
	n := min(len(b), w.left)
	w.lost += len(b) - n
	w.left -= n
	w.pieces = append(w.pieces, piece{time.Now(), sent, n})
	if sent {
		w.went = append(w.went, b[:n]...)
	} else {
		w.came = append(w.came, b[:n]...)
	}
	if w.left == 0 || len(w.pieces) == maxPieces {
		close(w.full)
	}
}

// wireTime is how the time of a piece is written: the day is that of the bundle.
const wireTime = "15:04:05.000000"

// Lines is what was kept of a connection that carries lines of text: each with its direction, I to
// this node or O from it, and its time. Credentials are covered.
func (w *Wire) Lines(r *Redactor) []byte {
	return w.write(r, "", func(out *bytes.Buffer, line []byte) {
		for i, c := range line {
			if c < ' ' {
				line[i] = ' '
			}
		}
		fmt.Fprintf(out, " %s\n", line)
	})
}

// Bytes is what was kept, as text2pcap reads it (-D -t %H:%M:%S.%f): each piece with its direction,
// I or O, its time and its bytes. Credentials are covered, also those that are in two pieces.
// sealed: it was TLS, of which times and sizes are all that is shown.
func (w *Wire) Bytes(r *Redactor, sealed bool) []byte {
	if sealed {
		return w.write(r, "# TLS: times and sizes are of its records, the bytes are left out\n", func(out *bytes.Buffer, b []byte) {
			fmt.Fprintf(out, "\n# %d bytes\n", len(b))
		})
	}
	return w.write(r, "", func(out *bytes.Buffer, b []byte) {
		fmt.Fprintln(out)
		for at := 0; at < len(b); at += 16 {
			fmt.Fprintf(out, "%06x % x\n", at, b[at:min(at+16, len(b))])
		}
	})
}

// write writes the head, and of each piece direction and time, with what show makes of its bytes
// behind them.
func (w *Wire) write(r *Redactor, head string, show func(*bytes.Buffer, []byte)) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	came, went := r.Redact(bytes.Clone(w.came)), r.Redact(bytes.Clone(w.went))
	out := bytes.NewBufferString(head)
	fmt.Fprintf(out, "# I: to this node; O: from it. %d bytes more were carried and are not here\n", w.lost)
	for _, p := range w.pieces {
		from, mark := &came, 'I'
		if p.sent {
			from, mark = &went, 'O'
		}
		fmt.Fprintf(out, "%c %s", mark, p.at.UTC().Format(wireTime))
		show(out, (*from)[:p.size])
		*from = (*from)[p.size:]
	}
	return out.Bytes()
}
