package door

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// headers makes one of "Name: value" lines.
func headers(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func trustsTen(a netip.Addr) bool {
	return netip.MustParsePrefix("10.0.0.0/8").Contains(a) || netip.MustParsePrefix("fd00::/8").Contains(a)
}

func TestClientBehindProxies(t *testing.T) {
	const proxy = "10.0.0.1:5000"
	for _, c := range []struct {
		name, peer string
		headers    []string
		remote     string
		host       string
		proto      string
	}{
		{"no header", proxy, nil, proxy, "", ""},
		{"a stranger", "203.0.113.9:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Real-IP: 198.51.100.1", "Forwarded: for=198.51.100.1;proto=https;host=a", "X-Forwarded-Proto: https", "X-Forwarded-Host: a"}, "203.0.113.9:1", "", ""},
		{"one proxy", proxy, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Host: live.example.com", "X-Forwarded-Proto: https"}, "198.51.100.1:0", "live.example.com", "https"},
		{"what the client invented", proxy, []string{"X-Forwarded-For: 192.0.2.66, 198.51.100.1"}, "198.51.100.1:0", "", ""},
		{"in a line of its own", proxy, []string{"X-Forwarded-For: 192.0.2.66", "X-Forwarded-For: 198.51.100.1"}, "198.51.100.1:0", "", ""},
		{"two proxies", proxy, []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.2"}, "198.51.100.1:0", "", ""},
		{"two proxies and an invention", proxy, []string{"X-Forwarded-For: 192.0.2.66,198.51.100.1,10.0.0.2", "X-Forwarded-Host: evil,outer,inner", "X-Forwarded-Proto: http, https, http"}, "198.51.100.1:0", "outer", "https"},
		{"host and scheme of the outer one only", proxy, []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.2", "X-Forwarded-Host: outer", "X-Forwarded-Proto: https"}, "198.51.100.1:0", "outer", "https"},
		{"all are proxies", proxy, []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3:0", "", ""},
		{"with a port", proxy, []string{"X-Forwarded-For: 198.51.100.1:4711"}, "198.51.100.1:4711", "", ""},
		{"IPv6", proxy, []string{"X-Forwarded-For: 2001:db8::1"}, "[2001:db8::1]:0", "", ""},
		{"IPv6 with a port", proxy, []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "[2001:db8::1]:4711", "", ""},
		{"IPv6 in brackets", proxy, []string{"X-Forwarded-For: [2001:db8::1]"}, "[2001:db8::1]:0", "", ""},
		{"IPv4 as IPv6", proxy, []string{"X-Forwarded-For: ::ffff:198.51.100.1"}, "198.51.100.1:0", "", ""},
		{"a proxy as IPv6", "[fd00::1]:5000", []string{"X-Forwarded-For: 198.51.100.1, fd00::2"}, "198.51.100.1:0", "", ""},
		{"unknown", proxy, []string{"X-Forwarded-For: 192.0.2.66, unknown"}, proxy, "", ""},
		{"no address", proxy, []string{"X-Forwarded-For: 0.0.0.0"}, proxy, "", ""},
		{"host alone", proxy, []string{"X-Forwarded-Host: live.example.com:8443", "X-Forwarded-Proto: wss"}, proxy, "live.example.com:8443", "https"},
		{"a host that is none", proxy, []string{"X-Forwarded-Host: a/b?c", "X-Forwarded-Proto: javascript"}, proxy, "", ""},
		{"real ip", proxy, []string{"X-Real-IP: 198.51.100.1", "X-Forwarded-Proto: https"}, "198.51.100.1:0", "", "https"},
		{"of several the first kind", proxy, []string{"X-Real-IP: 192.0.2.66", "Forwarded: for=192.0.2.67", "X-Forwarded-For: 198.51.100.1"}, "198.51.100.1:0", "", ""},
		{"RFC 7239", proxy, []string{`Forwarded: for=198.51.100.1;proto=https;host="live.example.com:8443";by=203.0.113.43`}, "198.51.100.1:0", "live.example.com:8443", "https"},
		{"RFC 7239, IPv6", proxy, []string{`forwarded: For="[2001:db8:cafe::17]:4711"`}, "[2001:db8:cafe::17]:4711", "", ""},
		{"RFC 7239, two proxies", proxy, []string{`Forwarded: for=192.0.2.66, for=198.51.100.1;host=outer ; proto=https, for="10.0.0.2:80";host=inner;proto=http`}, "198.51.100.1:0", "outer", "https"},
		{"RFC 7239, two lines", proxy, []string{`Forwarded: for=198.51.100.1;host=outer`, `Forwarded: for=10.0.0.2`}, "198.51.100.1:0", "outer", ""},
		{"RFC 7239, hidden", proxy, []string{`Forwarded: for=192.0.2.66, for=_hidden, for=10.0.0.2`}, "10.0.0.2:0", "", ""},
		{"RFC 7239, hidden port", proxy, []string{`Forwarded: for="198.51.100.1:_p1"`}, "198.51.100.1:0", "", ""},
		{"RFC 7239, a quote that does not end", proxy, []string{`Forwarded: for="192.0.2.66, for=198.51.100.1`}, "198.51.100.1:0", "", ""},
		{"RFC 7239, a quote that swallows", proxy, []string{`Forwarded: for="192.0.2.66, for="[2001:db8::1]:80"`}, "[2001:db8::1]:80", "", ""},
		{"RFC 7239, separators in quotes", proxy, []string{`Forwarded: by="a,b;c";for=198.51.100.1, by="x, for=192.0.2.66";for="10.0.0.2"`}, "198.51.100.1:0", "", ""},
		{"RFC 7239, empty elements", proxy, []string{`Forwarded: , for=198.51.100.1,, for=10.0.0.2 ,`}, "198.51.100.1:0", "", ""},
	} {
		got := client(netip.MustParseAddrPort(c.peer), headers(c.headers...), trustsTen)
		if got.remote.String() != c.remote || got.host != c.host || got.proto != c.proto {
			t.Errorf("%s: %v %q %q, want %s %q %q", c.name, got.remote, got.host, got.proto, c.remote, c.host, c.proto)
		}
	}
}

// FuzzForwarded: whatever a client wrote into the headers before a proxy of ours added
// to them, the client is who the proxy says, and its host and scheme are clean.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"", "192.0.2.66", "for=192.0.2.66", `for="[2001:db8::1]:80";proto=https;host=evil`, `for="`, `for="192.0.2.66, for="`, `for=1;for="a\"`,
		`by="x, for=192.0.2.66`, "10.0.0.9", "for=10.0.0.9", "unknown, ,", `"`, `="`, `\`, `;;,,`, "for=_x", "[::1", "host=a/b",
	} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, before, host, proto string) {
		if strings.ContainsAny(before+host+proto, "\r\n") {
			return
		}
		peer := netip.MustParseAddrPort("10.0.0.1:5000")
		for _, h := range []http.Header{
			headers("X-Forwarded-For: "+before+", 198.51.100.1", "Forwarded: "+before, "X-Real-IP: "+before, "X-Forwarded-Host: "+host, "X-Forwarded-Proto: "+proto),
			headers("X-Forwarded-For: "+before, "X-Forwarded-For: 198.51.100.1, 10.0.0.2", "X-Forwarded-Host: "+host, "X-Forwarded-Proto: "+proto),
			headers("Forwarded: " + before + ", for=198.51.100.1"),
			headers("Forwarded: " + before + `, for="198.51.100.1:4711";proto=https, for="10.0.0.2"`),
			headers("Forwarded: "+before, `Forwarded: host=a;for=198.51.100.1`),
		} {
			got := client(peer, h, trustsTen)
			if got.remote.Addr().String() != "198.51.100.1" {
				t.Errorf("%q: client %v", h, got.remote)
			}
			if got.host != parseHost(got.host) || got.proto != "" && got.proto != "http" && got.proto != "https" {
				t.Errorf("%q: host %q, scheme %q", h, got.host, got.proto)
			}
		}
		for _, h := range []http.Header{headers("X-Forwarded-For: " + before), headers("Forwarded: " + before), headers("X-Real-IP: " + before)} {
			client(peer, h, trustsTen) // from the client alone: anything but a panic
		}
	})
}
