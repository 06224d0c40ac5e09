package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// STUN (RFC 8489), as ICE uses it (RFC 8445 §7): binding requests and their answers, nothing else.
const (
	stunRequest  = 0x0001
	stunSuccess  = 0x0101
	stunHeader   = 20
	stunCookie   = 0x2112a442
	stunUsername = 0x0006
	stunMapped   = 0x0020 // XOR-MAPPED-ADDRESS
	stunPriority = 0x0024
	stunUse      = 0x0025 // USE-CANDIDATE
	stunControl  = 0x802a // ICE-CONTROLLING
)

// stunID tells a request from others.
type stunID [12]byte

// readSTUN reads the header of a STUN message (RFC 8489 §5), by which it differs from DTLS and RTP.
func readSTUN(b []byte) (kind uint16, id stunID, ok bool) {
	if len(b) < stunHeader || b[0] > 3 || binary.BigEndian.Uint32(b[4:]) != stunCookie {
		return 0, id, false
	}
	return binary.BigEndian.Uint16(b), stunID(b[8:stunHeader]), true
}

// bindingRequest nominates the way that it takes: of the one who offered, to the one who answered.
func bindingRequest(id stunID, ours, theirs credentials) []byte {
	var a []byte
	a = stunAttribute(a, stunUsername, []byte(theirs.user+":"+ours.user))
	a = stunAttribute(a, stunControl, id[:8])
	a = stunAttribute(a, stunPriority, []byte{110, 0, 1, 255}) // peer reflexive (RFC 8445 §5.1.2.1)
	a = stunAttribute(a, stunUse, nil)
	return stunMessage(stunRequest, id, a, theirs.password)
}

// bindingSuccess answers a request that came from an address.
func bindingSuccess(id stunID, from netip.AddrPort, ours credentials) []byte {
	at := binary.BigEndian.AppendUint16([]byte{0, 1}, from.Port()^stunCookie>>16)
	address := from.Addr().Unmap().AsSlice()
	if len(address) == 16 {
		at[1] = 2
	}
	pad := append(binary.BigEndian.AppendUint32(nil, stunCookie), id[:]...)
	for i, b := range address {
		at = append(at, b^pad[i])
	}
	return stunMessage(stunSuccess, id, stunAttribute(nil, stunMapped, at), ours.password)
}

func stunAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// stunMessage appends MESSAGE-INTEGRITY and FINGERPRINT to attributes, each over what is in front
// of it, with the length as if it stood last (RFC 8489 §14.5, §14.7).
func stunMessage(kind uint16, id stunID, attributes []byte, password string) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attributes)+4+sha1.Size))
	b = binary.BigEndian.AppendUint32(b, stunCookie)
	b = append(append(b, id[:]...), attributes...)
	mac := hmac.New(sha1.New, []byte(password))
	_, _ = mac.Write(b)
	b = append(b, 0, 8, 0, sha1.Size)
	b = mac.Sum(b)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-stunHeader+8))
	sum := crc32.ChecksumIEEE(b) ^ 0x5354554e
	return binary.BigEndian.AppendUint32(append(b, 0x80, 0x28, 0, 4), sum)
}
