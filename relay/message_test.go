package relay

import (
	"bytes"
	"testing"

	"liverelay/relay/flv"
)

// A payload's headroom is one form's, the first that asks; others copy, and the payload stays as it
// is.
func TestPlace(t *testing.T) {
	r := newTestRelay(t, Config{})
	p := mustPublish(t, r, "")
	buffer := make([]byte, Headroom+3+Tailroom)
	copy(buffer[Headroom:], "\x27\x01x")
	if err := p.WriteBuffer(flv.Video, 40, buffer); err != nil {
		t.Fatal(err)
	}
	m := p.stream.ring.last()
	if string(m.Payload) != "\x27\x01x" || cap(m.Payload) != 3 || m.DTS != 40 {
		t.Fatalf("%x at %d", m.Payload, m.DTS)
	}
	if m.Place(Headroom+1, 0) != nil || m.Place(0, Tailroom+1) != nil {
		t.Error("more than there is")
	}
	form := NewFormat("framed", func(m *Message, _ uint32) []byte {
		if b := m.Place(2, 1); b != nil {
			b[0], b[1], b[len(b)-1] = '<', '<', '>'
			return b
		}
		return append(append([]byte("<<"), m.Payload...), '>')
	})
	other := NewFormat("other", func(m *Message, _ uint32) []byte {
		if m.Place(1, 1) != nil {
			t.Error("it was given twice")
		}
		return append([]byte("o"), m.Payload...)
	})
	want := []byte("<<\x27\x01x>")
	if got := m.wire(form, 0); !bytes.Equal(got, want) || &got[2] != &m.Payload[0] {
		t.Errorf("%q, or a copy", got)
	}
	if got := m.wire(other, 0); string(got) != "o\x27\x01x" {
		t.Errorf("%q", got)
	}
	if got := m.wire(form, 0); !bytes.Equal(got, want) || string(m.Payload) != "\x27\x01x" {
		t.Errorf("%q of %q afterwards", got, m.Payload)
	}
	if copied := m.stamped(7); !bytes.Equal(copied.wire(form, 0), want) {
		t.Errorf("%q of a copy without headroom", copied.wire(form, 0))
	}
}
