package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The keys of RFC 3711 appendix B.3.
func TestSRTPKeysAreDerived(t *testing.T) {
	master, salt := unhex(t, "E1F97A0D3E018BE0D64FA32C06DE4139"), unhex(t, "0EC675AD498AFEEBB6960B3AABE6")
	for label, want := range map[byte]string{srtpLabelKey: "C61E7A93744F39EE10734AFE3FF7A087", srtpLabelSalt: "30CBBC08863D8C85D49DB34A9AE1"} {
		if got, err := deriveSRTP(master, salt, label, len(want)/2); err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("label %d: %X, %v, want %s", label, got, err, want)
		}
	}
}

// The packet of RFC 7714 §16.1.1, and what is not it.
func TestSRTPIsOpened(t *testing.T) {
	k, err := openSRTP(unhex(t, "000102030405060708090a0b0c0d0e0f"), unhex(t, "517569642070726f2071756f"))
	if err != nil {
		t.Fatal(err)
	}
	packet := unhex(t, "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce")
	k.note(0xf17b)
	if got, err := k.open(packet); err != nil || string(got) != "Gallia est omnis divisa in partes tres" {
		t.Errorf("%q, %v", got, err)
	}
	packet[30] ^= 1
	if _, err := k.open(packet); err == nil {
		t.Error("a changed packet was opened")
	}
	packet[30] ^= 1
	k.note(1) // its numbers have begun anew
	if _, err := k.open(packet); err == nil {
		t.Error("a packet of another turn was opened")
	}
}

func TestPacketsAreCountedByTheirNumbers(t *testing.T) {
	m := media{key: new(srtpKey)}
	for _, c := range []struct {
		sequence uint16
		missing  int
		ok       bool
	}{{65533, 0, true}, {65534, 0, true}, {1, 2, true}, {0, 0, false}, {2, 0, true}, {2, 0, false}} {
		if missing, ok := m.order(c.sequence); missing != c.missing || ok != c.ok {
			t.Errorf("%d: %d missing, %v; want %d, %v", c.sequence, missing, ok, c.missing, c.ok)
		}
	}
	if m.key.turns != 1 {
		t.Errorf("the numbers began anew %d times", m.key.turns)
	}
}

// rtp is a packet that nobody has sealed.
func rtp(timestamp uint32, last bool, payload ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x80, whepPayload, 0, 0}, timestamp)
	if last {
		b[1] |= 0x80
	}
	return append(append(b, 0, 0, 0, 1), payload...)
}

func unsealed(b []byte) ([]byte, error) {
	head, err := rtpHeader(b)
	return b[head:], err
}

func TestFramesArePutTogether(t *testing.T) {
	text := make([]byte, stampSize)
	stamp{7, 3, 42}.put(text)
	slice := append([]byte{0x80, 0x87}, text...)
	fu := func(indicator, header byte) []byte { return append([]byte{indicator, header}, slice...) }
	type step struct {
		packet []byte
		gap    bool
		key    bool
		whole  bool
	}
	for name, steps := range map[string][]step{
		"one packet":      {{rtp(1, true, append([]byte{0x41}, slice...)...), false, false, true}},
		"sets, fragments": {{rtp(1, false, 0x67, 1), false, false, false}, {rtp(1, false, fu(0x7c, 0x85)...), false, true, false}, {rtp(1, true, 0x7c, 0x45), false, true, true}},
		"aggregated":      {{rtp(1, true, append([]byte{24, 0, 2, 0x68, 1, 0, byte(1 + len(slice)), 0x65}, slice...)...), false, true, true}},
		"a hole":          {{rtp(1, false, fu(0x5c, 0x81)...), false, false, false}, {rtp(1, true, 0x5c, 0x41), true, false, false}},
		"the next is whole": {{rtp(1, false, fu(0x5c, 0x81)...), true, false, false}, {rtp(1, true, 0x5c, 0x41), false, false, false},
			{rtp(2, true, append([]byte{0x65}, slice...)...), false, true, true}},
	} {
		var f rtpFrames
		for i, s := range steps {
			whole, err := f.add(s.packet, s.gap, unsealed)
			if err != nil || whole != s.whole || isKeyframe(f.head) != s.key {
				t.Errorf("%s, packet %d: whole %v, keyframe %v, %v", name, i, whole, isKeyframe(f.head), err)
			}
			if whole {
				if got, ok := findStamp(f.head, videoStampAt); !ok || got != (stamp{7, 3, 42}) {
					t.Errorf("%s: stamp %+v, %v", name, got, ok)
				}
			}
		}
	}
	want := errors.New("sealed")
	if _, err := new(rtpFrames).add(rtp(1, true, 0x41), false, func([]byte) ([]byte, error) { return nil, want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestAnswerIsRead(t *testing.T) {
	const head = "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n"
	candidate := func(rest string) string { return "a=candidate:1 1 " + rest + " typ host\r\n" }
	four, six := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for sdp, want := range map[string]struct {
		asked netip.Addr
		at    string
	}{
		head + candidate("udp 1 10.0.0.1 8000"):                                      {four, "10.0.0.1:8000"},
		head + candidate("udp 1 10.0.0.1 8000") + candidate("UDP 1 127.0.0.1 8001"):  {four, "127.0.0.1:8001"},
		head + candidate("udp 1 127.0.0.1 8000") + candidate("udp 1 127.0.0.1 8001"): {four, "127.0.0.1:8000"},
		head + candidate("udp 1 127.0.0.1 8000") + candidate("udp 1 ::1 8001"):       {six, "[::1]:8001"},
		head + candidate("tcp 1 127.0.0.1 8000") + candidate("udp 1 x.local 1"):      {four, ""},
		head + candidate("udp 1 127.0.0.1 0"):                                        {four, ""},
		"v=0\r\na=ice-ufrag:u\r\n" + candidate("udp 1 127.0.0.1 8000"):               {four, ""},
		head: {four, ""},
	} {
		theirs, at, err := readAnswer(sdp, want.asked)
		if want.at == "" {
			if !errors.Is(err, errAnswer) {
				t.Errorf("%q: %v", sdp, err)
			}
			continue
		}
		if err != nil || at.String() != want.at || theirs != (credentials{"u", "p"}) {
			t.Errorf("%q: %v %v, %v", sdp, theirs, at, err)
		}
	}
}

// What is made is read again; its sums are checked by the server of TestBenchPlaysWHEP.
func TestSTUN(t *testing.T) {
	id := stunID{1, 2, 3}
	for kind, b := range map[uint16][]byte{
		stunRequest: bindingRequest(id, credentials{"us", "ours"}, credentials{"them", "theirs"}),
		stunSuccess: bindingSuccess(id, netip.MustParseAddrPort("[::1]:9"), credentials{"us", "ours"}),
	} {
		got, gotID, ok := readSTUN(b)
		if !ok || got != kind || gotID != id || len(b)%4 != 0 || int(binary.BigEndian.Uint16(b[2:])) != len(b)-stunHeader {
			t.Errorf("%x: kind %x, id %x, %v", b, got, gotID, ok)
		}
	}
	if _, _, ok := readSTUN(rtp(1, true, make([]byte, 20)...)); ok {
		t.Error("RTP is taken for STUN")
	}
}

func FuzzWHEP(f *testing.F) {
	f.Add([]byte("v=0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=candidate:1 1 udp 1 ::1 9 typ host\r\n"))
	f.Add(rtp(1, true, 24, 0, 2, 0x68, 1, 0, 9, 0x65))
	f.Add([]byte{0x91, 0xe6, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0, 0, 0, 0, 0x7c, 0x85, 1})
	f.Add(bindingSuccess(stunID{}, netip.MustParseAddrPort("127.0.0.1:9"), credentials{"u", "p"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, at, err := readAnswer(string(b), netip.MustParseAddr("::1")); err == nil && !at.IsValid() {
			t.Errorf("%q: no address", b)
		}
		if _, _, ok := readSTUN(b); ok && isRTP(b) {
			t.Errorf("%x is STUN and RTP", b)
		}
		if !isRTP(b) {
			return
		}
		var frames rtpFrames
		for range 3 {
			_, _ = frames.add(b, false, func(b []byte) ([]byte, error) {
				head, err := rtpHeader(b)
				if err != nil {
					return nil, err
				}
				return b[head:], nil
			})
		}
		if len(frames.head) > mostHead+headSize {
			t.Errorf("%d bytes of a frame are kept", len(frames.head))
		}
	})
}
