package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// The byte layout of a Token04: "04" and the standard base64, padded, of
//
//	int64 expire · uint16 n · n bytes IV or nonce · uint16 m · m bytes ciphertext · [mode]
//
// with n = 16 and no mode byte for AES-CBC with PKCS#7, and n = 12, mode 1 and
// a 16-byte tag after the ciphertext for AES-GCM without additional data. The
// key is the app's secret, byte by byte.
const (
	token04Prefix = "04"
	maxToken04    = 8 << 10 // characters; room for some hundred stream names
	modeGCM       = 1
	tagLen        = 16
)

type envelope04 struct {
	expire int64 // not authentic: written for others, never read
	iv     []byte
	sealed []byte
	gcm    bool
}

func (e envelope04) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(e.expire))
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.iv)))
	b = append(b, e.iv...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.sealed)))
	b = append(b, e.sealed...)
	if e.gcm {
		b = append(b, modeGCM)
	}
	return b
}

var base64Std = base64.StdEncoding.Strict()

// parseEnvelope04 takes a token apart. Every length must fit exactly.
func parseEnvelope04(token string) (envelope04, error) {
	if len(token) > maxToken04 {
		return envelope04{}, refuse(ReasonOversized)
	}
	if token == "" {
		return envelope04{}, refuse(ReasonMissing)
	}
	text, ok := strings.CutPrefix(token, token04Prefix)
	if !ok || strings.ContainsAny(text, "\r\n") { // the decoder would skip line ends
		return envelope04{}, refuse(ReasonMalformed)
	}
	b, err := base64Std.DecodeString(text)
	if err != nil {
		return envelope04{}, refuse(ReasonMalformed)
	}
	var e envelope04
	if len(b) < 10 {
		return envelope04{}, refuse(ReasonMalformed)
	}
	e.expire = int64(binary.BigEndian.Uint64(b))
	n := int(binary.BigEndian.Uint16(b[8:]))
	if b = b[10:]; len(b) < n+2 {
		return envelope04{}, refuse(ReasonMalformed)
	}
	e.iv = b[:n]
	m := int(binary.BigEndian.Uint16(b[n:]))
	if b = b[n+2:]; len(b) < m {
		return envelope04{}, refuse(ReasonMalformed)
	}
	e.sealed = b[:m]
	switch mode := b[m:]; {
	case n == aes.BlockSize && len(mode) == 0 && m > 0 && m%aes.BlockSize == 0:
	case n == 12 && len(mode) == 1 && mode[0] == modeGCM && m > tagLen:
		e.gcm = true
	default:
		return envelope04{}, refuse(ReasonMalformed)
	}
	return e, nil
}

// open decrypts with one secret. For CBC it returns some text even when the
// padding is wrong, see openToken04.
func (e envelope04) open(secret string) ([]byte, bool) {
	if len(secret) != SecretLen {
		return nil, false
	}
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return nil, false
	}
	if !e.gcm {
		return openCBC(block, e.iv, e.sealed)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false
	}
	text, err := aead.Open(nil, e.iv, e.sealed, nil)
	return text, err == nil
}

// openCBC decrypts and removes the PKCS#7 padding in constant time.
func openCBC(block cipher.Block, iv, sealed []byte) ([]byte, bool) {
	text := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(text, sealed)
	n := len(text)
	pad := int(text[n-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, pad)
		equal := subtle.ConstantTimeByteEq(text[n-i], byte(pad))
		good &= equal | (1 - inside)
	}
	return text[:n-subtle.ConstantTimeSelect(good, pad, 1)], good == 1
}

func sealGCM(secret string, nonce, text []byte) ([]byte, error) {
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return aead.Seal(nil, nonce, text, nil), nil
}
