package httpflv

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// What a publisher's peer is told is what it sent, by its own clock, soon also after the last tag.
func TestPublisherHearsWhatHasArrived(t *testing.T) {
	d := open(t, relay.Config{}, nil, nil)
	c := cast(t, d, "s", ":u1")
	words := make(chan word, 100)
	c.text = func(text string) {
		var w word
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		words <- w
	}
	go io.Copy(io.Discard, readOnly{c.webSocket})
	var sent uint64
	tags := sample(0, 30)
	var audio, video uint32
	for _, tag := range tags {
		sent += uint64(len(flv.AppendTag(nil, tag.Kind, tag.Timestamp, tag.Payload)))
		switch tag.Kind {
		case flv.Audio:
			audio = tag.Timestamp
		case flv.Video:
			video = tag.Timestamp
		}
	}
	sent += uint64(len(flv.FileHeader(true, true)))
	began := time.Now()
	if err := c.tags(tags); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); ; {
		select {
		case w := <-words:
			if w.Type != "arrived" || w.Bytes > sent {
				t.Fatalf("%+v of %d bytes", w, sent)
			}
			if w.Bytes == sent && w.Audio != nil && *w.Audio == audio && w.Video != nil && *w.Video == video {
				if early := wordInterval - time.Since(began); early > 50*time.Millisecond {
					t.Errorf("%v early", early)
				}
				select { // nothing new: nothing is said
				case w := <-words:
					t.Errorf("again: %+v", w)
				case <-time.After(2 * wordInterval):
				}
				return
			}
		case <-deadline:
			t.Fatal("no word of the last tags")
		}
	}
}
