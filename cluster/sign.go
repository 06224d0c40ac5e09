package cluster

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The headers of a request between nodes. The signature is over all others, the request line and
// the address it goes to.
const (
	headerFrom      = "Liverelay-Node"      // Info of the node that asks
	headerTo        = "Liverelay-To"        // the address that it meant to ask
	headerStamp     = "Liverelay-Stamp"     // when, in ms of its clock, and a number used once: MS.NONCE
	headerSignature = "Liverelay-Signature" // HMAC-SHA256, base64url
	headerProof     = "Liverelay-Proof"     // of an answer: the nonce, signed, so that an impostor is known
)

const (
	// maxSkew is how old a request may be, or how far in the future: clocks of nodes may be half a
	// minute apart.
	maxSkew = time.Minute
	// maxNonces bounds what is remembered of the requests of the last two maxSkew.
	maxNonces = 1 << 16
	maxFrom   = 2048 // bytes of Info in a header
)

// Why a request of another node is refused.
var (
	errUnsigned  = errors.New("not signed")
	errSignature = errors.New("wrong signature")
	errStamp     = errors.New("too old, or from the future")
	errReplayed  = errors.New("seen before")
	errTo        = errors.New("meant for another node")
)

// signer signs requests with the first secret, and takes those that any secret has signed.
type signer struct {
	// static
	secrets []string
	now     func() time.Time

	mu     sync.Mutex
	nonces map[string]time.Time // until when each is remembered
	sweep  time.Time            // of what need not be
}

func newSigner(secrets []string) *signer {
	return &signer{secrets: secrets, now: time.Now, nonces: map[string]time.Time{}}
}

func mac(secret string, parts ...string) string {
	h := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// sign signs a request to a node's address, and returns its nonce.
func (s *signer) sign(r *http.Request, from Info, to string) (nonce string, err error) {
	b, err := json.Marshal(from)
	if err != nil {
		return "", err
	}
	nonce = rand.Text()
	stamp := strconv.FormatInt(s.now().UnixMilli(), 10) + "." + nonce
	r.Header.Set(headerFrom, string(b))
	r.Header.Set(headerTo, to)
	r.Header.Set(headerStamp, stamp)
	r.Header.Set(headerSignature, mac(s.secrets[0], "request", r.Method, r.URL.RequestURI(), string(b), to, stamp))
	return nonce, nil
}

// verify says who asks, if the request is signed, fresh, new and meant for the node with this
// address.
func (s *signer) verify(r *http.Request, own string) (from Info, nonce string, err error) {
	text, to, stamp := r.Header.Get(headerFrom), r.Header.Get(headerTo), r.Header.Get(headerStamp)
	signature := r.Header.Get(headerSignature)
	if signature == "" || len(text) > maxFrom {
		return from, "", errUnsigned
	}
	if !s.signed(signature, "request", r.Method, r.URL.RequestURI(), text, to, stamp) {
		return from, "", errSignature
	}
	if to != own {
		return from, "", fmt.Errorf("%w: %.80q", errTo, to)
	}
	ms, nonce, _ := strings.Cut(stamp, ".")
	at, err := strconv.ParseInt(ms, 10, 64)
	now := s.now()
	if age := now.Sub(time.UnixMilli(at)); err != nil || age > maxSkew || age < -maxSkew {
		return from, "", errStamp
	}
	if err := json.Unmarshal([]byte(text), &from); err != nil {
		return from, "", fmt.Errorf("node that asks: %w", err)
	}
	return from, nonce, s.once(nonce, now)
}

// once fails for a nonce that was there before, or when too many are remembered to say.
func (s *signer) once(nonce string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.sweep) {
		for n, until := range s.nonces {
			if now.After(until) {
				delete(s.nonces, n)
			}
		}
		s.sweep = now.Add(time.Second)
	}
	if _, seen := s.nonces[nonce]; seen || len(s.nonces) >= maxNonces {
		return errReplayed
	}
	s.nonces[nonce] = now.Add(2*maxSkew + time.Second)
	return nil
}

// signed says whether one of the secrets made the signature.
func (s *signer) signed(signature string, parts ...string) bool {
	ok := false
	for _, secret := range s.secrets {
		if hmac.Equal([]byte(mac(secret, parts...)), []byte(signature)) {
			ok = true
		}
	}
	return ok
}

// prove answers a nonce; proves checks the answer.
func (s *signer) prove(h http.Header, nonce string) {
	for _, secret := range s.secrets { // the peer may know only one of them yet
		h.Add(headerProof, mac(secret, "proof", nonce))
	}
}

func (s *signer) proves(h http.Header, nonce string) bool {
	for _, p := range h.Values(headerProof) {
		if s.signed(p, "proof", nonce) {
			return true
		}
	}
	return false
}
