package relay

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Name is a stream's name: the app it belongs to and its own id within it.
type Name struct {
	App    string `json:"app" example:"live"`
	Stream string `json:"stream" example:"demo"`
}

// instance is what old clients put between app and stream for "no particular
// instance of the application".
const instance = "_definst_"

// ParseName makes a name of what people and encoders write for app and stream.
// White space and slashes around either are nobody's name; neither is the
// instance _definst_ behind the app. A stream that is a whole URL, or begins with
// the app again, means its last part, and without a stream the app's last part
// is it ("app/stream" in one field). Each is then 1 to 256 letters, digits, '-',
// '_' or '.', and neither "." nor "..". The error is an [ErrBadName].
func ParseName(app, stream string) (Name, error) {
	n := Name{appOf(app), trimName(stream)}
	if n.Stream == "" {
		if i := strings.LastIndexByte(n.App, '/'); i >= 0 {
			n = Name{appOf(n.App[:i]), n.App[i+1:]}
		}
	}
	path, isURL := pathOf(n.Stream)
	within, again := strings.CutPrefix(path, n.App+"/")
	if isURL && !again { // it names another app
		return Name{}, badName(app, stream)
	}
	n.Stream = strings.TrimPrefix(trimName(within), instance+"/")
	n.Stream = trimName(n.Stream)
	if !validPart(n.App) || !validPart(n.Stream) {
		return Name{}, badName(app, stream)
	}
	return n, nil
}

func badName(app, stream string) error {
	return fmt.Errorf("%w: %.64q/%.64q: 1 to 256 letters, digits, '-', '_', '.'", ErrBadName, app, stream)
}

// appOf returns the app without what surrounds it, its instance and itself again.
func appOf(s string) string {
	s, _ = pathOf(trimName(s))
	s = trimName(strings.TrimSuffix(s, "/"+instance))
	if first, second, ok := strings.Cut(s, "/"); ok && first == trimName(second) {
		return first
	}
	return s
}

// pathOf returns the path of a URL, any other text as it is.
func pathOf(s string) (path string, isURL bool) {
	_, rest, isURL := strings.Cut(s, "://")
	if !isURL {
		return s, false
	}
	_, path, _ = strings.Cut(rest, "/")
	return trimName(path), true
}

func trimName(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) })
}

// validPart is the rule for app and stream names. auth, a leaf too, has the same rule:
// TestNamesAreCheckedAlike in server/name_test.go asks both.
func validPart(s string) bool {
	if len(s) < 1 || len(s) > 256 || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// String returns "app/stream".
func (n Name) String() string { return n.App + "/" + n.Stream }

// ParseQuery decodes the query of a media address the way browsers do: only '&'
// separates, and what is no percent-encoding stays as it is written. White space
// around a value, which pasting brings, is not of it, and an '&' that a page's
// source had as "&amp;" is one.
func ParseQuery(raw string) url.Values {
	all := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair = strings.TrimPrefix(pair, "amp;"); pair != "" {
			key, value, _ := strings.Cut(pair, "=")
			key = unescape(key)
			all[key] = append(all[key], strings.TrimSpace(unescape(value)))
		}
	}
	return all
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
