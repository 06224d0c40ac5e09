package rtmp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/yutopp/go-rtmp/handshake"
)

// Sizes of the handshake (RTMP 1.0 §5.2).
const (
	handshakeVersion = 3
	handshakeSize    = 1536
	digestSize       = sha256.Size
)

// Keys of the digest handshake. Flash Player 9 and what imitates it sign C1 and
// want S1 and S2 signed; the text part alone signs C1 and S1, text and tail S2
// and C2. Public since 2009, they protect nothing.
var (
	keyTail = []byte{
		0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
		0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
	}
	clientKey     = []byte("Genuine Adobe Flash Player 001")
	serverKey     = []byte("Genuine Adobe Flash Media Server 001")
	serverKeyFull = append(bytes.Clone(serverKey), keyTail...)

	// serverVersion in S1 says that S1 is signed; zeros say that it is not.
	serverVersion = [4]byte{4, 5, 0, 1}
)

// handshakeScratch is what a handshake works in: 10 KB that nobody needs afterwards.
type handshakeScratch struct {
	c1, s1 handshake.S1C1
	s2, c2 handshake.S2C2
	out    bytes.Buffer
}

var handshakePool = sync.Pool{New: func() any { return new(handshakeScratch) }}

// serverHandshake answers a client: signed where the client signed, plain otherwise: then S2 is C1
// byte for byte, as encoders compare the two and complain, although RTMP 1.0 §5.2.4 has a time of
// the server's in the second four. What is in C2 does not matter: real clients send anything.
// random fills S1 and S2. The caller sets the deadline.
func serverHandshake(r io.Reader, w io.Writer, random io.Reader) error {
	x := handshakePool.Get().(*handshakeScratch)
	defer handshakePool.Put(x)
	d := handshake.NewDecoder(r)
	var c0 handshake.S0C0
	if err := d.DecodeS0C0(&c0); err != nil {
		return err // io.EOF: a health probe
	}
	if c0 != handshakeVersion {
		return violation("%s", notRTMP(byte(c0)))
	}
	if err := d.DecodeS1C1(&x.c1); err != nil {
		return fmt.Errorf("read C1: %w", noEOF(err))
	}
	reply, err := x.reply(random)
	if err != nil {
		return err
	}
	if _, err := w.Write(reply); err != nil {
		return fmt.Errorf("write S0, S1 and S2: %w", err)
	}
	if err := d.DecodeS2C2(&x.c2); err != nil {
		return fmt.Errorf("read C2: %w", noEOF(err))
	}
	return nil
}

func notRTMP(first byte) string {
	switch first {
	case 'G', 'P', 'H', 'O', 'D':
		return "HTTP request on the RTMP port"
	case 0x16:
		return "TLS on the plain RTMP port"
	case 6, 8, 9:
		return "encrypted RTMP (RTMPE) is not supported"
	}
	return fmt.Sprintf("not RTMP: version %d in C0", first)
}

// reply makes S0, S1 and S2 for c1.
func (x *handshakeScratch) reply(random io.Reader) ([]byte, error) {
	now := uint32(time.Now().UnixMilli())
	x.s1.Time, x.s1.Version = now, [4]byte{}
	if _, err := io.ReadFull(random, x.s1.Random[:]); err != nil {
		return nil, err
	}
	x.s2 = echo(&x.c1)

	var digest []byte // of C1, if it is signed
	if x.c1.Version != [4]byte{} {
		scheme := 0
		digest, scheme = findDigest(x.encode(&x.c1), clientKey)
		digest = bytes.Clone(digest) // out is used again
		if digest != nil {
			x.s1.Version = serverVersion
			packet := x.encode(&x.s1)
			sign(packet, scheme, serverKey)
			copy(x.s1.Random[:], packet[8:])
			if _, err := io.ReadFull(random, x.s2.Random[:]); err != nil {
				return nil, err
			}
		}
	}
	x.out.Reset()
	e := handshake.NewEncoder(&x.out)
	s0 := handshake.S0C0(handshakeVersion)
	if err := errors.Join(e.EncodeS0C0(&s0), e.EncodeS1C1(&x.s1), e.EncodeS2C2(&x.s2)); err != nil {
		return nil, err
	}
	reply := x.out.Bytes()
	if digest != nil {
		signS2(reply[len(reply)-handshakeSize:], digest)
	}
	return reply, nil
}

// echo is the S2 that repeats a C1, or the C2 that repeats an S1.
func echo(p *handshake.S1C1) handshake.S2C2 {
	return handshake.S2C2{Time: p.Time, Time2: binary.BigEndian.Uint32(p.Version[:]), Random: p.Random}
}

func (x *handshakeScratch) encode(p *handshake.S1C1) []byte {
	x.out.Reset()
	_ = handshake.NewEncoder(&x.out).EncodeS1C1(p) // a bytes.Buffer takes all
	return x.out.Bytes()
}

// digestAt says where a C1 or S1 of the given scheme keeps its digest: in one of
// its two halves, at a place that four bytes of that half add up to.
func digestAt(packet []byte, scheme int) int {
	at := 8
	if scheme == 1 {
		at += 764
	}
	sum := int(packet[at]) + int(packet[at+1]) + int(packet[at+2]) + int(packet[at+3])
	return at + 4 + sum%728
}

// signature is the HMAC of a C1 or S1 without the digest within.
func signature(packet []byte, at int, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(packet[:at])
	mac.Write(packet[at+digestSize:])
	return mac.Sum(nil)
}

// findDigest returns the digest of a signed C1 or S1, within packet, and its scheme; nil
// when it is not signed.
func findDigest(packet, key []byte) (digest []byte, scheme int) {
	for scheme := range 2 {
		at := digestAt(packet, scheme)
		found := packet[at : at+digestSize]
		if hmac.Equal(found, signature(packet, at, key)) {
			return found, scheme
		}
	}
	return nil, 0
}

func sign(packet []byte, scheme int, key []byte) {
	at := digestAt(packet, scheme)
	copy(packet[at:], signature(packet, at, key))
}

// signS2 signs S2 with a key made from the digest of C1.
func signS2(s2, digest []byte) {
	mac := hmac.New(sha256.New, serverKeyFull)
	mac.Write(digest)
	key := mac.Sum(nil)
	mac = hmac.New(sha256.New, key)
	mac.Write(s2[:handshakeSize-digestSize])
	copy(s2[handshakeSize-digestSize:], mac.Sum(nil))
}

// clientHandshake is the plain handshake towards a server. Its S2 is read but
// not checked: it proves nothing.
func clientHandshake(r io.Reader, w io.Writer) error {
	var first [1 + handshakeSize]byte
	first[0] = handshakeVersion
	binary.BigEndian.PutUint32(first[1:], uint32(time.Now().UnixMilli()))
	if _, err := rand.Read(first[9:]); err != nil {
		return err
	}
	if _, err := w.Write(first[:]); err != nil {
		return fmt.Errorf("write C0 and C1: %w", err)
	}
	d := handshake.NewDecoder(r)
	var s0 handshake.S0C0
	if err := d.DecodeS0C0(&s0); err != nil {
		return fmt.Errorf("read S0: %w", noEOF(err))
	}
	if s0 != handshakeVersion {
		return violation("not RTMP: version %d in S0", s0)
	}
	var s1 handshake.S1C1
	if err := d.DecodeS1C1(&s1); err != nil {
		return fmt.Errorf("read S1: %w", noEOF(err))
	}
	var out bytes.Buffer
	c2 := echo(&s1)
	if err := handshake.NewEncoder(&out).EncodeS2C2(&c2); err != nil {
		return err
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write C2: %w", err)
	}
	var s2 handshake.S2C2
	if err := d.DecodeS2C2(&s2); err != nil {
		return fmt.Errorf("read S2: %w", noEOF(err))
	}
	return nil
}
