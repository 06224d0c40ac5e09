package door

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Origins are the web pages that may use an app: what its key origins lists. The
// zero value allows none.
type Origins struct {
	any      bool
	patterns []originPattern
}

// originPattern is one scheme://host:port, in small letters; the port is "" where it
// is the scheme's own.
type originPattern struct {
	scheme, host, port string
	below              bool // any name below host, not host itself
	anyPort            bool
}

// Allowance is what [Origins] say of one page.
type Allowance uint8

// What a page may do.
const (
	OriginRefused Allowance = iota
	OriginAny               // as any page may, or one of our own
	OriginNamed             // this page is named: it may bring its visitor's cookies, too
)

// ParseOrigins reads a list of "*" (any page) and of origins as browsers write
// them (RFC 6454 §6.2): "https://example.com", "http://localhost:3000",
// "https://*.example.com" for every name below example.com, "http://localhost:*" for any port.
func ParseOrigins(list []string) (Origins, error) {
	var o Origins
	for _, s := range list {
		if s == "*" {
			o.any = true
			continue
		}
		p, ok := parseOrigin(s, true)
		if !ok {
			return Origins{}, fmt.Errorf("%.60q is not \"*\" or an origin such as \"https://example.com\"", s)
		}
		o.patterns = append(o.patterns, p)
	}
	return o, nil
}

// parseOrigin reads an origin; a pattern may begin with "*." and have port "*".
func parseOrigin(s string, pattern bool) (p originPattern, ok bool) {
	s = strings.TrimSuffix(strings.ToLower(s), "/")
	if pattern {
		s, p.anyPort = strings.CutSuffix(s, ":*")
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || strings.HasSuffix(u.Host, ":") || u.Scheme != "http" && u.Scheme != "https" || s != u.Scheme+"://"+u.Host {
		return p, false
	}
	p.scheme, p.host, p.port = u.Scheme, u.Hostname(), u.Port()
	if p.port == map[string]string{"http": "80", "https": "443"}[p.scheme] {
		p.port = ""
	}
	if pattern {
		p.host, p.below = strings.CutPrefix(p.host, "*.")
	}
	return p, p.host != "" && !strings.Contains(p.host, "*")
}

func (p originPattern) match(o originPattern) bool {
	if p.scheme != o.scheme || p.port != o.port && !p.anyPort {
		return false
	}
	if p.below {
		name, ok := strings.CutSuffix(o.host, "."+p.host)
		return ok && name != ""
	}
	return p.host == o.host
}

// Allow says whether a page from this origin may use the app at host: origin is what
// the request's header Origin says, not empty. Pages from host itself always may;
// browsers send Origin with a WebSocket then, too.
func (o Origins) Allow(origin, host string) Allowance {
	if page, ok := parseOrigin(origin, false); ok {
		for _, p := range o.patterns {
			if p.match(page) {
				return OriginNamed
			}
		}
	}
	if u, err := url.Parse(origin); o.any || err == nil && u.Host != "" && strings.EqualFold(u.Host, host) {
		return OriginAny
	}
	return OriginRefused
}

// SetCORS sets the CORS headers of a reply (Fetch standard, "HTTP extensions"), on
// every reply alike, so that a page can read errors too. It returns false when the
// request comes from a page that may not use the app. A request without Origin
// comes from no page.
func (o Origins) SetCORS(header http.Header, r *http.Request) bool {
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	allowed := o.Allow(origin, r.Host)
	if allowed == OriginRefused {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if allowed == OriginNamed {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}
