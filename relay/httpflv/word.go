package httpflv

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/gobwas/ws"

	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// wordInterval is how often a publisher is told what has arrived, while anything arrives.
const wordInterval = 500 * time.Millisecond

// word is what a publisher is told in a text frame: a browser cannot see how much of what it sent
// has left the machine (its bufferedAmount is 0 while megabytes are under way), so it lowers its
// bitrate by the difference to this.
type word struct {
	Type  string  `json:"type"`            // "arrived"
	Bytes uint64  `json:"bytes"`           // of FLV
	Audio *uint32 `json:"audio,omitempty"` // DTS of the last tag, as the publisher stamped it, ms
	Video *uint32 `json:"video,omitempty"`

	due    time.Time // zero: not before the stream was taken
	unsaid bool      // something arrived since the last one
}

// count returns r, whose bytes are counted.
func (w *word) count(r io.Reader) io.Reader { return countedReader{r, w} }

type countedReader struct {
	r io.Reader
	w *word
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.w.Bytes += uint64(n)
	return n, err
}

func (w *word) arrived(kind flv.Kind, timestamp uint32) {
	switch kind {
	case flv.Audio:
		w.Audio = &timestamp
	case flv.Video:
		w.Video = &timestamp
	default:
		return
	}
	w.unsaid = true
}

// sayWord tells the publisher, when it is time. A peer that never reads is left alone once its
// kernel is full.
func (p *publisher) sayWord(now time.Time) error {
	if p.word.due.IsZero() || !p.word.unsaid || now.Before(p.word.due) {
		return nil
	}
	p.word.Type = "arrived"
	text, err := json.Marshal(&p.word)
	if err != nil {
		return err
	}
	p.word.due, p.word.unsaid = now.Add(wordInterval), false
	if err := p.tell(ws.MustCompileFrame(ws.NewTextFrame(text))); errors.Is(err, os.ErrDeadlineExceeded) {
		p.word.due = time.Time{}
	} else if err != nil {
		return err
	}
	return nil
}

// tell writes a frame that may as well not be written. The error is a deadline exceeded only if no
// byte of it was.
func (p *publisher) tell(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saidClose {
		return nil
	}
	p.conn.SetWriteDeadline(time.Now().Add(wordInterval))
	n, err := p.conn.Write(frame)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return door.ErrLost // half a frame: nothing more can be said
	}
	return err
}
