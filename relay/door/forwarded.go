package door

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarding are the headers by which HTTP proxies tell whom they speak for. Whoever
// reads a request behind [Server] finds none of them but the one that it sets.
var forwarding = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// hop is what one proxy tells of who spoke to it.
type hop struct {
	remote netip.AddrPort // invalid: not told, or hidden
	host   string         // that it was asked for; "": not told
	proto  string         // "http", "https"; "": not told
}

// client finds out for whom a chain of trusted proxies speaks. peer is who spoke to
// us; each proxy added, on the right, who spoke to it: the first from the right that
// no proxy of ours is, is the client, and what stands left of it is the client's own
// invention. Where the chain tells nothing more, its last known member is the client.
func client(peer netip.AddrPort, h http.Header, trusts func(netip.Addr) bool) hop {
	c := hop{remote: peer}
	if !trusts(peer.Addr()) {
		return c
	}
	hops := hopsOf(h)
	for i := len(hops) - 1; i >= 0; i-- {
		told := hops[i]
		if told.host != "" {
			c.host = told.host
		}
		if told.proto != "" {
			c.proto = told.proto
		}
		if !told.remote.IsValid() {
			break
		}
		c.remote = told.remote
		if !trusts(told.remote.Addr()) {
			break
		}
	}
	return c
}

// hopsOf reads the headers, of which the first that is there counts: X-Forwarded-For
// with -Host and -Proto, which nearly every proxy writes, Forwarded (RFC 7239),
// X-Real-IP. A proxy that writes one and passes another on cannot harm those that
// write the first.
func hopsOf(h http.Header) []hop {
	addrs := list(h["X-Forwarded-For"])
	hosts, protos := list(h["X-Forwarded-Host"]), list(h["X-Forwarded-Proto"])
	if len(addrs) == 0 {
		if hops := parseForwarded(h["Forwarded"]); len(hops) > 0 {
			return hops
		}
		addrs = list(h["X-Real-Ip"])
	}
	hops := make([]hop, max(len(addrs), len(hosts), len(protos)))
	for i := range hops {
		hops[i] = hop{parseNode(fromRight(addrs, i, len(hops))), parseHost(fromRight(hosts, i, len(hops))), parseProto(fromRight(protos, i, len(hops)))}
	}
	return hops
}

// fromRight returns the element that stands at i of n when the lists are aligned at their ends.
func fromRight(list []string, i, n int) string {
	if i -= n - len(list); i < 0 {
		return ""
	}
	return list[i]
}

// list returns the elements of a header's lines (RFC 9110 §5.6.1).
func list(lines []string) []string {
	var all []string
	for _, line := range lines {
		for s := range strings.SplitSeq(line, ",") {
			if s = strings.TrimSpace(s); s != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

// parseForwarded reads the elements of RFC 7239 §4, from the right: what a proxy of
// ours has added there is well-formed, and nothing that somebody wrote left of it, such as
// a quote that does not end, changes how it is read. What is ill-formed tells nothing.
func parseForwarded(lines []string) []hop {
	var hops []hop
	for _, line := range slices.Backward(lines) {
		for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
			var h hop
			told := false
			for within := true; within; {
				var pair string
				line, pair, within = cutLastPair(line)
				name, value, _ := strings.Cut(pair, "=")
				value = unquote(strings.TrimSpace(value))
				switch name = strings.ToLower(strings.TrimSpace(name)); name {
				case "for":
					h.remote = parseNode(value)
				case "host":
					h.host = parseHost(value)
				case "proto":
					h.proto = parseProto(value)
				}
				told = told || name != ""
			}
			if told { // an empty element is none
				hops = append(hops, h)
			}
		}
	}
	slices.Reverse(hops)
	return hops
}

// cutLastPair cuts the last pair off; within says whether it stands in the same element
// as the one before it. In a quoted string neither ';' nor ',' separates.
func cutLastPair(s string) (rest, pair string, within bool) {
	s = strings.TrimRight(s, " \t")
	end := len(s)
	if strings.HasSuffix(s, `"`) {
		end = max(0, strings.LastIndex(s[:end-1], `="`))
	}
	i := strings.LastIndexAny(s[:end], ",;")
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], s[i] == ';'
}

// unquote reads a token or a quoted string (RFC 9110 §5.6.4).
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseNode reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. Anything else ("unknown", "_hidden")
// is none. A port that is not told is 0.
func parseNode(s string) netip.AddrPort {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return usable(p)
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		// The port may be hidden, too (§6.3): "[2001:db8::1]:_p".
		inner, _, _ = strings.Cut(inner, "]")
		s = inner
	} else if host, _, ok := strings.Cut(s, ":_"); ok {
		s = host
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return usable(netip.AddrPortFrom(a, 0))
}

// usable returns an address in its one form.
func usable(p netip.AddrPort) netip.AddrPort {
	a := p.Addr().Unmap().WithZone("")
	if a.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, p.Port())
}

// maxHost is the longest name (RFC 1035 §2.3.4) with a port.
const maxHost = 255 + len(":65535")

// parseHost takes what can be the host of an address, and nothing that would end it there.
func parseHost(s string) string {
	if s == "" || len(s) > maxHost {
		return ""
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._:[]", c) >= 0:
		default:
			return ""
		}
	}
	return s
}

func parseProto(s string) string {
	switch s = strings.ToLower(s); s {
	case "http", "https":
		return s
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return ""
}
