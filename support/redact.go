package support

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// leastSecret is the shortest text that is looked for: a shorter one stands in half of all words.
const leastSecret = 4

// Redactor covers credentials with as many x: those that it was told, in every form that texts put
// them into, and what looks like one. The length stays, so that what is covered in a connection's
// bytes leaves its framing whole.
type Redactor struct {
	known [][]byte
	names []string // what a value is called that is a credential: its name ends so
}

// NewRedactor returns one for these secrets.
func NewRedactor(secrets []string) *Redactor {
	r := &Redactor{names: inQueries}
	for _, s := range secrets {
		if len(s) < leastSecret {
			continue
		}
		for _, form := range forms(s) {
			r.known = append(r.known, []byte(form))
		}
	}
	return r
}

// Naming returns one that covers also what is called so; of such a name the end is enough.
func (r *Redactor) Naming(names ...string) *Redactor {
	return &Redactor{r.known, slices.Concat(r.names, names)}
}

// forms are a text as it may be written.
func forms(s string) []string {
	quoted, _ := json.Marshal(s) // cannot fail
	plain := strings.Trim(strconv.Quote(s), `"`)
	all := []string{s, string(quoted[1 : len(quoted)-1]), plain, url.QueryEscape(s), url.PathEscape(s)}
	slices.Sort(all)
	return slices.Compact(all)
}

// Redact covers in place, and returns b.
func (r *Redactor) Redact(b []byte) []byte {
	type span struct{ from, to int }
	var spans []span // covered when all are found: one may reach into another
	for _, known := range r.known {
		for at := 0; ; {
			i := bytes.Index(b[at:], known)
			if i < 0 {
				break
			}
			at += i + 1
			spans = append(spans, span{at - 1, at - 1 + len(known)})
		}
	}
	for _, s := range spans {
		cover(b[s.from:s.to])
	}
	for i, c := range b {
		switch c {
		case '=', '%', ':', ' ', '+':
			r.named(b, i)
		case 'e', '0':
			r.shaped(b, i)
		}
	}
	return b
}

// What credentials are called.
var (
	inQueries = []string{"token", "secret", "signature", "password", "passwd", "authorization", "apikey", "api_key", "access_key", "stream_key"}
	inHeaders = []string{"authorization", "signature", "password", "-token", "-secret", "-key"}
	schemes   = []string{"bearer", "basic"}
)

// named covers what follows position i, if that ends the name of a credential.
func (r *Redactor) named(b []byte, i int) {
	before, after := b[:i], b[i+1:]
	switch b[i] {
	case '%':
		switch {
		case hasFold(after, "3d") && endsFold(before, r.names):
			coverRun(after[2:])
		case hasFold(after, "20") && endsFold(before, schemes):
			coverRun(after[2:])
		}
	case '=':
		if endsFold(before, r.names) {
			coverRun(after)
		}
	case ' ', '+':
		if endsFold(before, schemes) {
			coverRun(after)
		}
	case ':':
		if key, quote, ok := quoted(before); ok && endsFold(key, r.names) { // JSON, also in a string of JSON
			coverString(bytes.TrimLeft(after, " "), quote)
			return
		}
		if endsFold(before, inHeaders) {
			after = bytes.TrimLeft(after, " ")
			if !hasFold(after, "bearer ") && !hasFold(after, "basic ") { // which come by themselves
				coverRun(after)
			}
		}
		if bytes.HasPrefix(after, []byte("//")) {
			coverPassword(after[2:])
		}
	}
}

// leastShaped is how long a Token04 or a JWT is at least.
const leastShaped = 40

// shaped covers what begins at position i, if it looks like a JWT or a Token04.
func (*Redactor) shaped(b []byte, i int) {
	if i > 0 && wordByte(b[i-1]) {
		return
	}
	n := 0
	for i+n < len(b) && (wordByte(b[i+n]) || strings.IndexByte(".-+/=", b[i+n]) >= 0) {
		n++
	}
	run := b[i : i+n]
	jwt := bytes.HasPrefix(run, []byte("eyJ")) && bytes.IndexByte(run, '.') > 0 && n >= 12
	if jwt || bytes.HasPrefix(run, []byte("04")) && n >= leastShaped {
		cover(run)
	}
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

func hasFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}

func endsFold(b []byte, words []string) bool {
	for _, w := range words {
		if len(b) >= len(w) && strings.EqualFold(string(b[len(b)-len(w):]), w) {
			return true
		}
	}
	return false
}

// shownSecret is what texts of ours have in the place of a secret: nothing has to be covered there.
const shownSecret = "(secret)"

// coverRun covers a credential that b begins with.
func coverRun(b []byte) {
	n := 0
	for n < len(b) && tokenByte(b[n]) {
		n++
	}
	if string(b[:n]) == shownSecret {
		return
	}
	cover(b[:n])
	if n > 0 {
		coverOn(b[n:])
	}
}

// quoted cuts the quote from the end of b: " or, in a text that was quoted itself, \" with one
// backslash or more.
func quoted(b []byte) (before, quote []byte, ok bool) {
	before, ok = bytes.CutSuffix(b, []byte{'"'})
	before = bytes.TrimRight(before, `\`)
	return before, b[len(before):], ok
}

// coverString covers what is between two such quotes, to the end where the second is missing.
func coverString(b, quote []byte) {
	b, ok := bytes.CutPrefix(b, quote)
	if !ok {
		return
	}
	for i := range b {
		if b[i] == '"' && bytes.Equal(quote, quoteAt(b, i)) {
			cover(b[:i+1-len(quote)])
			return
		}
	}
	cover(b)
}

// quoteAt is the quotation mark at position i with the backslashes before it.
func quoteAt(b []byte, i int) []byte {
	return b[len(bytes.TrimRight(b[:i], `\`)) : i+1]
}

// maxUserinfo bounds what is looked through of an address for its password.
const maxUserinfo = 256

// coverPassword covers that of an address, of which b is what comes after its scheme.
func coverPassword(b []byte) {
	b = b[:min(len(b), maxUserinfo)]
	end := bytes.IndexAny(b, "@/ \"\r\n")
	if end < 0 || b[end] != '@' {
		return
	}
	if _, password, ok := bytes.Cut(b[:end], []byte{':'}); ok {
		cover(password)
	}
}

func cover(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}

// coverOn goes on where a credential goes on behind a chunk's header of one byte (RTMP 1.0 §5.3.1,
// type 3): in a publisher's chunks of 128 bytes a token begins in one and ends in another.
func coverOn(b []byte) {
	for len(b) > 1 && b[0] >= 0xc0 && tokenByte(b[1]) {
		n := 1
		for n < len(b) && tokenByte(b[n]) {
			b[n] = 'x'
			n++
		}
		b = b[n:]
	}
}

// tokenByte says whether a byte may be one of a credential's.
func tokenByte(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte("\"&',;<>", c) < 0 }
