package webrtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"
)

const (
	// iceKeepAlive is how often we ask a peer that we have a way to whether it is still there, and
	// iceSilence for how long none of its answers, nor anything else, is taken for a pause. A
	// publisher has relay.publish_timeout instead.
	iceKeepAlive = 2 * time.Second
	iceSilence   = 15 * time.Second

	// leastSilence is what relay.publish_timeout is at least here: browsers send checks every two
	// seconds or so, and between them perhaps nothing.
	leastSilence = 4 * time.Second

	// dtlsRetry is after how long a lost packet of a handshake is sent again: the default of a
	// second is all that a viewer would wait for on most networks.
	dtlsRetry = 100 * time.Millisecond

	certificateYears = 20

	// SRTP protection profiles (RFC 7714 §14.2, RFC 5764 §4.1.2).
	profileGCM  = 0x0007 // AEAD_AES_128_GCM
	profileHMAC = 0x0001 // AES128_CM_HMAC_SHA1_80
)

// newCertificate makes the certificate of all sessions: its fingerprint in our answers is what
// peers trust (RFC 8122).
func newCertificate() (*pion.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	now := time.Now()
	cert, err := pion.NewCertificate(key, x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    now.AddDate(0, 0, -1),
		NotAfter:     now.AddDate(certificateYears, 0, 0),
	})
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return cert, nil
}

// kind is what sessions of one protocol have in common: their codecs, and pion's interceptors.
type kind struct {
	media        *pion.MediaEngine
	interceptors *interceptor.Registry
	silence      time.Duration // for so long nothing may come of a peer
}

// viewing is what WHEP offers for a stream whose video is what video registers: the codecs that
// browsers have, and no header extension.
func viewing(video func(*pion.MediaEngine, []pion.RTCPFeedback) error) (kind, error) {
	m := new(pion.MediaEngine)
	if err := errors.Join(video(m, nil), registerOpus(m, nil)); err != nil {
		return kind{}, err
	}
	return kind{media: m, interceptors: new(interceptor.Registry), silence: iceSilence}, nil
}

const (
	h264Line = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	h264Type = 102 // our payload types, where a peer had none; that of the retransmissions follows
	hevcType = 104 // of profile 1; those of the other profiles follow
	opusType = 111
)

// registerH264 names H.264 and its retransmissions. An answer takes over the payload types of its
// offer.
func registerH264(m *pion.MediaEngine, feedback []pion.RTCPFeedback) error {
	return registerVideo(m, pion.MimeTypeH264, h264Line, h264Type, feedback)
}

// registerHEVC names H.265's profiles and their retransmissions.
func registerHEVC(m *pion.MediaEngine, feedback []pion.RTCPFeedback) error {
	for profile := 1; profile <= hevcProfiles; profile++ {
		line := fmt.Sprintf("level-id=180;profile-id=%d;tier-flag=0;tx-mode=SRST", profile)
		if err := registerVideo(m, pion.MimeTypeH265, line, hevcType+2*pion.PayloadType(profile-1), feedback); err != nil {
			return err
		}
	}
	return nil
}

func registerVideo(m *pion.MediaEngine, mime, line string, payload pion.PayloadType, feedback []pion.RTCPFeedback) error {
	all := append([]pion.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}, feedback...)
	return errors.Join(
		register(m, pion.RTPCodecTypeVideo, payload, pion.RTPCodecCapability{MimeType: mime, ClockRate: 1000 * videoClock, SDPFmtpLine: line, RTCPFeedback: all}),
		register(m, pion.RTPCodecTypeVideo, payload+1, pion.RTPCodecCapability{MimeType: pion.MimeTypeRTX, ClockRate: 1000 * videoClock, SDPFmtpLine: fmt.Sprintf("apt=%d", payload)}),
	)
}

func registerOpus(m *pion.MediaEngine, feedback []pion.RTCPFeedback) error {
	return register(m, pion.RTPCodecTypeAudio, opusType, pion.RTPCodecCapability{
		MimeType: pion.MimeTypeOpus, ClockRate: 1000 * audioClock, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1", RTCPFeedback: feedback,
	})
}

func register(m *pion.MediaEngine, k pion.RTPCodecType, payload pion.PayloadType, c pion.RTPCodecCapability) error {
	if err := m.RegisterCodec(pion.RTPCodecParameters{RTPCodecCapability: c, PayloadType: payload}, k); err != nil {
		return fmt.Errorf("register %s: %w", c.MimeType, err)
	}
	return nil
}

// newPeer makes a peer connection for an offer.
func (s *Server) newPeer(k kind, o offer, remote netip.Addr) (*pion.PeerConnection, error) {
	se := pion.SettingEngine{LoggerFactory: silent{}}
	se.SetICEUDPMux(s.ports.udp)
	networks := []pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6}
	if s.ports.tcp != nil {
		se.SetICETCPMux(s.ports.tcp)
		networks = append(networks, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6)
	}
	se.SetNetworkTypes(networks)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetIncludeLoopbackCandidate(s.ports.loopback() || remote.IsLoopback())
	se.SetICETimeouts(k.silence/2, k.silence/2, min(iceKeepAlive, k.silence/4))
	se.SetDTLSRetransmissionInterval(dtlsRetry)

	// The DTLS server chooses the cipher: browsers would take the one that costs twice as much. Who
	// says that it is passive makes us the client.
	role := pion.DTLSRoleServer
	if !o.active {
		role = pion.DTLSRoleClient
	}
	if err := se.SetAnsweringDTLSRole(role); err != nil {
		return nil, err
	}
	se.SetSRTPProtectionProfiles(profileGCM, profileHMAC)

	moves := new(rebind)
	se.SetICEBindingRequestHandler(moves.check)

	api := pion.NewAPI(pion.WithMediaEngine(k.media), pion.WithInterceptorRegistry(k.interceptors), pion.WithSettingEngine(se))
	pc, err := api.NewPeerConnection(pion.Configuration{Certificates: s.certs})
	if err != nil {
		return nil, fmt.Errorf("make a peer connection: %w", err)
	}
	moves.chosen = pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair
	return pc, nil
}

// gatherTimeout bounds the search for our own addresses, which asks nobody.
const gatherTimeout = 5 * time.Second

// answer makes the answer to an offer, with all our candidates in it.
func (s *Server) answer(ctx context.Context, pc *pion.PeerConnection, o offer) (string, error) {
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: o.text}); err != nil {
		return "", fmt.Errorf("%w: %v", errBadOffer, err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errBadOffer, err)
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %v", errBadOffer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	d := pc.LocalDescription()
	if d == nil {
		return "", errNoSession // closed meanwhile
	}
	return s.addPublic(d.SDP, s.public.addresses(ctx)), nil
}

// addPublic adds candidates for the configured addresses to the first section, before those that we
// found: peers out there try them first. To pion they are the same port.
func (s *Server) addPublic(text string, addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return text
	}
	var candidates strings.Builder
	port := s.ports.addr.Port()
	for i, a := range addresses {
		// Type preference 126, host (RFC 8445 §5.1.2.2); below all UDP for TCP (RFC 6544 §4.2).
		priority := 126<<24 | (65535-i)<<8 | 255
		fmt.Fprintf(&candidates, "a=candidate:public%du 1 udp %d %s %d typ host\r\n", i, priority, a, port)
		if s.ports.tcp != nil {
			fmt.Fprintf(&candidates, "a=candidate:public%dt 1 tcp %d %s %d typ host tcptype passive\r\n", i, 90<<24|(8191-i)<<8|255, a, port)
		}
	}
	var b strings.Builder
	sections, added := 0, false
	for line := range strings.Lines(text) {
		first := strings.HasPrefix(line, "a=candidate:") || strings.HasPrefix(line, "a=end-of-candidates")
		if strings.HasPrefix(line, "m=") {
			sections++
		}
		if !added && sections > 0 && (first || sections > 1) {
			b.WriteString(candidates.String())
			added = true
		}
		b.WriteString(line)
	}
	if !added {
		b.WriteString(candidates.String())
	}
	return b.String()
}
