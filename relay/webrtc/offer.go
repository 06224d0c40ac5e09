package webrtc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"liverelay/relay/door"
)

const (
	maxOffer    = 64 << 10 // bytes of an offer
	maxFragment = 16 << 10 // bytes of a trickle fragment
	maxSections = 16       // media sections of an offer; a browser's has two
)

// offer is what an SDP offer says that matters before pion answers it.
type offer struct {
	text       string
	ufrag, pwd string
	active     bool   // DTLS: it says that it is the client, or leaves that to us
	h264, opus bool   // that we can send to a viewer, or take from a publisher
	h265       byte   // profiles of H.265 that we can send to a viewer: a bit for each, 1 << profile-id
	video      bool   // there is video, whatever its codec
	fmtp       string // of that H.264
	sections   int    // audio and video
}

// readOffer reads an offer; publish: of one who will send. What it cannot use, but that does no
// harm, is left to the answer.
func readOffer(body []byte, publish bool) (offer, error) {
	o := offer{text: string(body), active: true}
	var d sdp.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		return o, fmt.Errorf("%w: %v", errBadOffer, err)
	}
	if len(d.MediaDescriptions) > maxSections {
		return o, fmt.Errorf("%w: %d media sections", errBadOffer, len(d.MediaDescriptions))
	}
	attribute := func(i int, key string) string {
		if v, ok := d.MediaDescriptions[i].Attribute(key); ok {
			return v
		}
		v, _ := d.Attribute(key)
		return v
	}
	fingerprint := false
	for i, m := range d.MediaDescriptions {
		if u := attribute(i, "ice-ufrag"); u != "" && o.ufrag == "" {
			o.ufrag, o.pwd = u, attribute(i, "ice-pwd")
			o.active = attribute(i, "setup") != "passive"
		}
		fingerprint = fingerprint || attribute(i, "fingerprint") != ""
		kind := m.MediaName.Media
		if kind != "audio" && kind != "video" || m.MediaName.Port.Value == 0 {
			continue
		}
		o.sections++
		if !flows(m.Attributes, publish) {
			continue
		}
		o.video = o.video || kind == "video"
		for _, c := range readCodecs(m.Attributes) {
			if kind == "video" && c.h264() && !o.h264 {
				o.h264, o.fmtp = true, c.fmtp
			}
			if kind == "video" {
				o.h265 |= c.h265()
			}
			o.opus = o.opus || kind == "audio" && c.name == "opus/48000/2"
		}
	}
	switch {
	case o.ufrag == "" || o.pwd == "":
		return o, fmt.Errorf("%w: no ice-ufrag and ice-pwd", errBadOffer)
	case !fingerprint:
		return o, fmt.Errorf("%w: no fingerprint", errBadOffer)
	case o.sections == 0:
		return o, fmt.Errorf("%w: neither audio nor video", errBadOffer)
	}
	return o, nil
}

// flows says whether a section is for what we want to do: the peer of a viewer takes, that of a
// publisher sends.
func flows(attributes []sdp.Attribute, publish bool) bool {
	for _, a := range attributes {
		switch a.Key {
		case "inactive":
			return false
		case "sendonly":
			return publish
		case "recvonly":
			return !publish
		}
	}
	return true // sendrecv is the default (RFC 8866 §6.7)
}

// codec is a payload type of a section.
type codec struct {
	name string // in small letters: h264/90000
	fmtp string
}

// h264 says whether it is H.264 with fragments (RFC 6184 §6.3, packetization-mode 1), which large
// frames need.
func (c codec) h264() bool {
	if c.name != "h264/90000" {
		return false
	}
	for p := range strings.SplitSeq(c.fmtp, ";") {
		if strings.TrimSpace(p) == "packetization-mode=1" {
			return true
		}
	}
	return false
}

// h265 is the profile of H.265 that it is, as a bit of [offer.h265]; 0: none that we send.
func (c codec) h265() byte {
	if c.name != "h265/90000" {
		return 0
	}
	profile := hevcProfile(c.fmtp)
	if profile < 1 || profile > hevcProfiles {
		return 0
	}
	return 1 << profile
}

// hevcProfiles are the profiles of H.265 that viewers get: 1, Main, and 2, Main 10.
const hevcProfiles = 2

// hevcProfile is the profile that a format line names, Main where none is (RFC 7798 §7.1); 0: it
// cannot be read.
func hevcProfile(fmtp string) int {
	for p := range strings.SplitSeq(fmtp, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "profile-id="); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 1
}

func readCodecs(attributes []sdp.Attribute) map[string]*codec {
	codecs := map[string]*codec{}
	at := func(value string) (*codec, string) {
		pt, rest, _ := strings.Cut(value, " ")
		if codecs[pt] == nil {
			codecs[pt] = new(codec)
		}
		return codecs[pt], strings.TrimSpace(rest)
	}
	for _, a := range attributes {
		switch a.Key {
		case "rtpmap":
			c, name := at(a.Value)
			c.name = strings.ToLower(name)
		case "fmtp":
			c, fmtp := at(a.Value)
			c.fmtp = fmtp
		}
	}
	return codecs
}

// restarted is the offer with other ICE credentials, as a trickle fragment told them: an ICE
// restart.
func (o offer) restarted(ufrag, pwd string) offer {
	var b strings.Builder
	for line := range strings.Lines(o.text) {
		switch end := line[len(strings.TrimRight(line, "\r\n")):]; {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			line = "a=ice-ufrag:" + ufrag + end
		case strings.HasPrefix(line, "a=ice-pwd:"):
			line = "a=ice-pwd:" + pwd + end
		case strings.HasPrefix(line, "a=candidate:"), strings.HasPrefix(line, "a=end-of-candidates"):
			continue
		}
		b.WriteString(line)
	}
	o.text, o.ufrag, o.pwd = b.String(), ufrag, pwd
	return o
}

// fragmentCredentials reads the ICE credentials of a trickle fragment (RFC 8840 §4.2); "": it has
// none, or not both.
func fragmentCredentials(body []byte) (ufrag, pwd string, err error) {
	seen := false
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return "", "", fmt.Errorf("%w: a line of a fragment that is no SDP", door.ErrBadRequest)
		}
		seen = true
		if v, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok && ufrag == "" {
			ufrag = v
		}
		if v, ok := strings.CutPrefix(line, "a=ice-pwd:"); ok && pwd == "" {
			pwd = v
		}
	}
	if !seen {
		return "", "", fmt.Errorf("%w: an empty fragment", door.ErrBadRequest)
	}
	if !iceText(ufrag, 4) || !iceText(pwd, 22) {
		return "", "", nil
	}
	return ufrag, pwd, nil
}

// iceText says whether a text is of ice-char alone, and long enough (RFC 8839 §5.4).
func iceText(s string, least int) bool {
	if len(s) < least || len(s) > 256 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '/' {
			return false
		}
	}
	return true
}
