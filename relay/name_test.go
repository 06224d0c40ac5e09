package relay

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// names are what people and encoders write; want is "" where it is nobody's name.
var names = []struct{ app, stream, want string }{
	{"live", "s1", "live/s1"},
	{"live", "/s1", "live/s1"},
	{"live", "s1/", "live/s1"},
	{"live/", "//s1//", "live/s1"},
	{"/live", " s1\n", "live/s1"},
	{"live", "live/s1", "live/s1"},
	{"live", "/live/s1", "live/s1"},
	{"live", "live//s1", "live/s1"},
	{"live", "live", "live/live"},
	{"live", "live/live", "live/live"},
	{"live/_definst_", "s1", "live/s1"},
	{"live/_definst_/", "/s1", "live/s1"},
	{"live", "_definst_/s1", "live/s1"},
	{"live/live", "s1", "live/s1"},
	{"live/s1", "", "live/s1"},
	{"/live/s1/", "", "live/s1"},
	{"live/_definst_/s1", "", "live/s1"},
	{"live", "rtmp://host:1935/live/s1", "live/s1"},
	{"live", "rtmp://host/live/_definst_/s1", "live/s1"},
	{"rtmp://host/live", "s1", "live/s1"},
	{"rtmp://host/live/s1", "", "live/s1"},

	{"live", "rtmp://host/other/s1", ""},
	{"live", "rtmp://host/s1", ""},
	{"live", "rtmp://host", ""},
	{"live", "other/s1", ""},
	{"live", "a/b", ""},
	{"live", "live/a/b", ""},
	{"live/room", "s1", ""},
	{"live", "../s1", ""},
	{"live", "live/..", ""},
	{"live", "/.", ""},
	{"live", " ", ""},
	{"live/_definst_", "", ""},
	{"live", "a b", ""},
	{"live", "a\x00", ""},
	{"live", "a%2Fb", ""},
	{"live", "直播", ""},
	{"", "s1", ""},
	{"/", "s1", ""},
	{"..", "s1", ""},
	{"", "", ""},
	{strings.Repeat("a", 257), "s1", ""},
}

func TestNamesAsPeopleWriteThem(t *testing.T) {
	for _, c := range names {
		name, err := ParseName(c.app, c.stream)
		switch {
		case c.want == "" && !errors.Is(err, ErrBadName):
			t.Errorf("%q %q: %v %v, want ErrBadName", c.app, c.stream, name, err)
		case c.want != "" && (err != nil || name.String() != c.want):
			t.Errorf("%q %q: %v %v, want %s", c.app, c.stream, name, err, c.want)
		}
	}
}

// FuzzParseName: a name that is accepted is clean, and means itself.
func FuzzParseName(f *testing.F) {
	for _, c := range names {
		f.Add(c.app, c.stream)
	}
	f.Fuzz(func(t *testing.T, app, stream string) {
		n, err := ParseName(app, stream)
		if err != nil {
			return
		}
		if !validPart(n.App) || !validPart(n.Stream) {
			t.Errorf("%q %q: %q", app, stream, n)
		}
		if again, err := ParseName(n.App, n.Stream); err != nil || again != n {
			t.Errorf("%q %q: %q, and that is %q", app, stream, n, again)
		}
	})
}

func TestQueriesAsPeopleWriteThem(t *testing.T) {
	for raw, want := range map[string]url.Values{
		"":                   {},
		"token=a":            {"token": {"a"}},
		"token=a\n":          {"token": {"a"}},
		"token=%20a%0d%0a":   {"token": {"a"}},
		"token=a%0d%0ab":     {"token": {"a\r\nb"}},
		"x=1&amp;token=a":    {"x": {"1"}, "token": {"a"}},
		"t=1;x=2&token=a":    {"t": {"1;x=2"}, "token": {"a"}},
		"name=50%&token=a":   {"name": {"50%"}, "token": {"a"}},
		"a=%zz&b=%41":        {"a": {"%zz"}, "b": {"A"}},
		"&&token=a&token=b&": {"token": {"a", "b"}},
		"flag&a=b=c":         {"flag": {""}, "a": {"b=c"}},
	} {
		if got := ParseQuery(raw); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	}
}
