package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// credentials are an ICE agent's (RFC 8445 §5.3).
type credentials struct{ user, password string }

func newCredentials() credentials {
	var b [18]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	text := hex.EncodeToString(b[:])
	return credentials{text[:8], text[8:]}
}

// whepPayload is the payload type of the video.
const whepPayload = 102

// whepOffer is what every player offers: H.264 alone, no candidate, since the server sees where the
// player is, and the part of DTLS's client, which it has then with every server.
func whepOffer(ours credentials, fingerprint string) string {
	return strings.Join([]string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
		fmt.Sprintf("m=video 9 UDP/TLS/RTP/SAVPF %d", whepPayload),
		"c=IN IP4 0.0.0.0", "a=mid:0", "a=recvonly", "a=rtcp-mux", "a=setup:active",
		"a=ice-ufrag:" + ours.user, "a=ice-pwd:" + ours.password, "a=fingerprint:sha-256 " + fingerprint,
		fmt.Sprintf("a=rtpmap:%d H264/90000", whepPayload),
		fmt.Sprintf("a=fmtp:%d level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", whepPayload),
		fmt.Sprintf("a=rtcp-fb:%d nack pli", whepPayload), "",
	}, "\r\n")
}

var errAnswer = errors.New("bad SDP answer")

// readAnswer reads an SDP answer: who answers, and where. Of its UDP candidates the one at the
// address that was asked is taken, else the first of its family.
func readAnswer(sdp string, asked netip.Addr) (theirs credentials, at netip.AddrPort, err error) {
	for line := range strings.Lines(sdp) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch {
		case name == "a=ice-ufrag" && theirs.user == "":
			theirs.user = value
		case name == "a=ice-pwd" && theirs.password == "":
			theirs.password = value
		case name == "a=candidate" && at.Addr() != asked:
			f := strings.Fields(value)
			if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
				continue
			}
			c, err := netip.ParseAddrPort(f[4] + ":" + f[5])
			if err != nil && strings.Contains(f[4], ":") {
				c, err = netip.ParseAddrPort("[" + f[4] + "]:" + f[5])
			}
			if err == nil && c.Addr().Is4() == asked.Is4() && (!at.IsValid() || c.Addr() == asked) {
				at = c
			}
		}
	}
	if theirs.user == "" || theirs.password == "" || !at.IsValid() || at.Port() == 0 {
		return theirs, at, fmt.Errorf("%w: no ICE credentials, or no UDP candidate", errAnswer)
	}
	return theirs, at, nil
}

// media is what a WHEP player takes: RTP whose order it checks, and, as far as it parses, frames.
type media struct {
	ours     credentials
	server   netip.AddrPort
	location string // of the session, to end it
	key      *srtpKey

	began  bool
	next   uint16 // sequence number
	frames rtpFrames
}

// order takes a packet's sequence number. It returns how many are missing in front of it; ok is
// false when it comes late, or again.
func (m *media) order(sequence uint16) (missing int, ok bool) {
	if !m.began {
		m.began, m.next = true, sequence
	}
	ahead := sequence - m.next
	if ahead >= 1<<15 {
		return 0, false
	}
	m.key.note(sequence)
	m.next = sequence + 1
	return int(ahead), true
}

// rtpFrames puts the heads of H.264 frames together (RFC 6184).
type rtpFrames struct {
	timestamp uint32
	head      []byte // as FLV has it, as far as the stamp
	stamped   bool
	broken    bool // a packet is missing
}

// mostHead is how much of a frame is searched for its stamp.
const mostHead = 8 * headSize

// add takes a packet, whose payload open gives. whole: with it a frame has come of which nothing is
// missing. A gap in front of the packet may have held its frame's beginning.
func (f *rtpFrames) add(packet []byte, gap bool, open func([]byte) ([]byte, error)) (whole bool, err error) {
	if ts := binary.BigEndian.Uint32(packet[4:]); len(f.head) == 0 || ts != f.timestamp {
		f.timestamp, f.stamped, f.broken = ts, false, false
		f.head = append(f.head[:0], 0x27, 1, 0, 0, 0)
	}
	f.broken = f.broken || gap
	if !f.broken && !f.stamped && len(f.head) < mostHead {
		payload, err := open(packet)
		if err != nil {
			return false, err
		}
		if hasIDR(payload) {
			f.head[0] = 0x17
		}
		f.head = append(f.head, payload[:min(len(payload), headSize)]...)
		_, f.stamped = findStamp(f.head, 0)
	}
	return packet[1]&0x80 != 0 && !f.broken, nil
}

// hasIDR says whether a payload holds a picture that a decoder can begin with, or its beginning.
func hasIDR(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch payload[0] & 31 {
	case 5:
		return true
	case 28: // FU-A, §5.8
		return payload[1]&31 == 5
	case 24: // STAP-A, §5.7.1
		for b := payload[1:]; len(b) > 2; {
			n := int(binary.BigEndian.Uint16(b))
			if b[2]&31 == 5 {
				return true
			}
			b = b[min(2+n, len(b)):]
		}
	}
	return false
}
