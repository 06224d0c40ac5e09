package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// srtpKey opens what one sender has sealed with AEAD_AES_128_GCM (RFC 7714), in the order in which
// it was sent.
type srtpKey struct {
	aead  cipher.AEAD
	salt  [srtpSalt]byte
	out   []byte
	last  uint16
	turns uint32 // of the sequence numbers: the rollover counter (RFC 3711 §3.3.1)
}

const (
	srtpMaster = 16 // bytes of a master key
	srtpSalt   = 12
	srtpTag    = 16

	// Labels of derived keys (RFC 3711 §4.3.1).
	srtpLabelKey  = 0
	srtpLabelSalt = 2
)

var errRTP = errors.New("bad RTP")

// newSRTPKey derives the session's key from a master key and salt.
func newSRTPKey(master, salt []byte) (*srtpKey, error) {
	key, err := deriveSRTP(master, salt, srtpLabelKey, srtpMaster)
	if err != nil {
		return nil, err
	}
	session, err := deriveSRTP(master, salt, srtpLabelSalt, srtpSalt)
	if err != nil {
		return nil, err
	}
	return openSRTP(key, session)
}

// openSRTP takes the session's key itself.
func openSRTP(key, salt []byte) (*srtpKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &srtpKey{aead: aead, salt: [srtpSalt]byte(salt)}, nil
}

// deriveSRTP makes n bytes of a label's key (RFC 3711 §4.3.3); a salt of 12 bytes stands for one of
// 14 that ends in zeros (RFC 7714 §11).
func deriveSRTP(master, salt []byte, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(master)
	if err != nil {
		return nil, err
	}
	var iv [aes.BlockSize]byte
	copy(iv[:14], salt)
	iv[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}

// note takes the sequence number of each packet, opened or not: from it follows how often they have
// begun anew.
func (k *srtpKey) note(sequence uint16) {
	if sequence < k.last && k.last-sequence > 1<<15 {
		k.turns++
	}
	k.last = sequence
}

// open returns a packet's payload, until the next call. Its number has been noted.
func (k *srtpKey) open(packet []byte) ([]byte, error) {
	head, err := rtpHeader(packet)
	if err != nil {
		return nil, err
	}
	iv := [srtpSalt]byte{}
	copy(iv[2:6], packet[8:12])
	binary.BigEndian.PutUint32(iv[6:], k.turns)
	copy(iv[10:], packet[2:4])
	for i := range iv {
		iv[i] ^= k.salt[i]
	}
	k.out, err = k.aead.Open(k.out[:0], iv[:], packet[head:], packet[:head])
	return k.out, err
}

// isRTP says whether a datagram is RTP, not RTCP (RFC 7983 §7, RFC 5761 §4).
func isRTP(b []byte) bool {
	return len(b) >= 12 && b[0] >= 128 && b[0] < 192 && (b[1] < 192 || b[1] > 223)
}

// rtpHeader is how long a packet's header is (RFC 3550 §5.1), sources and extension too.
func rtpHeader(b []byte) (int, error) {
	n := 12
	if len(b) < n {
		return 0, errRTP
	}
	if n += int(b[0]&15) * 4; b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0, errRTP
		}
		n += 4 + int(binary.BigEndian.Uint16(b[n+2:]))*4
	}
	if len(b) < n {
		return 0, errRTP
	}
	return n, nil
}
