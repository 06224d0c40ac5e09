package door

import (
	"net/http"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	named := []string{"https://example.com", "https://*.example.org", "http://localhost:3000", "http://127.0.0.1:*", "https://[2001:db8::1]:8443", "HTTPS://Big.Example.net/", "https://port.example:443"}
	for _, c := range []struct {
		list   []string
		origin string
		want   Allowance
	}{
		{named, "https://example.com", OriginNamed},
		{named, "https://EXAMPLE.com", OriginNamed},
		{named, "https://example.com:443", OriginNamed},
		{named, "https://example.com:8443", OriginRefused},
		{named, "http://example.com", OriginRefused},
		{named, "https://www.example.com", OriginRefused},
		{named, "https://a.example.org", OriginNamed},
		{named, "https://a.b.example.org", OriginNamed},
		{named, "https://example.org", OriginRefused},
		{named, "https://.example.org", OriginRefused},
		{named, "https://evilexample.org", OriginRefused},
		{named, "https://a.example.org.evil.com", OriginRefused},
		{named, "https://evil.com/.example.org", OriginRefused},
		{named, "https://evil.com#.example.org", OriginRefused},
		{named, "https://evil.com?.example.org", OriginRefused},
		{named, "https://evil.com@a.example.org", OriginRefused},
		{named, "https://*.example.org", OriginRefused},
		{named, "http://a.example.org", OriginRefused},
		{named, "http://localhost:3000", OriginNamed},
		{named, "http://localhost:3001", OriginRefused},
		{named, "http://127.0.0.1:4711", OriginNamed},
		{named, "http://127.0.0.1", OriginNamed},
		{named, "https://[2001:db8::1]:8443", OriginNamed},
		{named, "https://big.example.net", OriginNamed},
		{named, "https://port.example", OriginNamed},
		{named, "null", OriginRefused},
		{named, "https://here.example:8080", OriginAny}, // the host that is asked
		{nil, "https://example.com", OriginRefused},
		{[]string{"*"}, "https://example.com", OriginAny},
		{[]string{"*"}, "null", OriginAny},
		{[]string{"*", "https://example.com"}, "https://example.com", OriginNamed},
	} {
		o, err := ParseOrigins(c.list)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Allow(c.origin, "here.example:8080"); got != c.want {
			t.Errorf("%v, %s: %d, want %d", c.list, c.origin, got, c.want)
		}
	}
	for _, bad := range []string{"", "example.com", "ftp://example.com", "https://", "https://a/b", "https://u@a", "https://*", "https://*.", "https://a.*.com", "https://*a.com", "https://a:x", "null"} {
		if _, err := ParseOrigins([]string{bad}); err == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
}

// A page that is named may bring cookies; one that may only because all may, must not.
func TestCORS(t *testing.T) {
	for _, c := range []struct{ list, origin, allow, credentials string }{
		{"https://*.example.com", "https://a.example.com", "https://a.example.com", "true"},
		{"*", "https://a.example.com", "https://a.example.com", ""},
		{"https://b.example.com", "https://a.example.com", "", ""},
		{"*", "", "", ""},
	} {
		o, _ := ParseOrigins([]string{c.list})
		r := &http.Request{Host: "media.example", Header: http.Header{}}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		h := http.Header{}
		if ok := o.SetCORS(h, r); ok != (c.allow != "" || c.origin == "") {
			t.Errorf("%s, %s: %t", c.list, c.origin, ok)
		}
		if h.Get("Access-Control-Allow-Origin") != c.allow || h.Get("Access-Control-Allow-Credentials") != c.credentials || h.Get("Vary") != "Origin" {
			t.Errorf("%s, %s: %v", c.list, c.origin, h)
		}
	}
}

// FuzzOrigins: a page that matches a name below example.org ends so, and with nothing else.
func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://a.example.org", "https://example.org", "https://evil.com/.example.org", "https://a.example.org:443", "https://evil.com\\.example.org", "null", "", "https://a.example.org:", "https://[::1%25eth0]", "https://%61.example.org"} {
		f.Add(s)
	}
	o, err := ParseOrigins([]string{"https://*.example.org"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if o.Allow(origin, "") == OriginRefused {
			return
		}
		name := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(origin), "/"), ":443")
		if !strings.HasPrefix(name, "https://") || !strings.HasSuffix(name, ".example.org") || strings.ContainsAny(name[len("https://"):], "/:?#@") {
			t.Errorf("%q is allowed", origin)
		}
	})
}
