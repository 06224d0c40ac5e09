package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
)

// endpoint is a URL to push to or to play from, taken apart.
type endpoint struct {
	scheme string // rtmp, http, ws, whep; raw is an FLV push to the floor
	secure bool   // over TLS: rtmps, https, wss
	host   string // with port
	path   string // without leading slash, with query
	addr   netip.AddrPort
}

var defaultPort = map[string]string{
	"rtmp": "1935", "http": "80", "ws": "80", "raw": "80", "whep": "80", "rtmps": "443", "https": "443", "wss": "443",
}

func parseEndpoint(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("parse URL: %w", err)
	}
	port, ok := defaultPort[u.Scheme]
	if !ok {
		return endpoint{}, fmt.Errorf("parse URL: scheme %q: want rtmp, http, ws, the same with s, whep, or raw", u.Scheme)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	scheme, secure := strings.CutSuffix(u.Scheme, "s")
	if u.Scheme == "ws" {
		scheme, secure = "ws", false
	}
	e := endpoint{scheme: scheme, secure: secure, host: net.JoinHostPort(u.Hostname(), port), path: strings.TrimPrefix(u.RequestURI(), "/")}
	if e.scheme == "rtmp" && !strings.Contains(strings.SplitN(e.path, "?", 2)[0], "/") {
		return endpoint{}, fmt.Errorf("parse URL: want rtmp://HOST/APP/STREAM")
	}
	a, err := net.ResolveTCPAddr("tcp", e.host)
	if err != nil {
		return endpoint{}, fmt.Errorf("resolve %s: %w", e.host, err)
	}
	e.addr = a.AddrPort()
	e.addr = netip.AddrPortFrom(e.addr.Addr().Unmap(), e.addr.Port())
	return e, nil
}

// app and stream are the two halves of an RTMP URL's path; what follows the first slash, query and
// all, is the stream.
func (e endpoint) app() string    { app, _, _ := strings.Cut(e.path, "/"); return app }
func (e endpoint) stream() string { _, stream, _ := strings.Cut(e.path, "/"); return stream }

// expand fills in a URL template: {i} is the stream's number, {room} and {member} its room and
// place in it.
func expand(template string, stream, members int) string {
	members = max(members, 1)
	return strings.NewReplacer("{i}", strconv.Itoa(stream), "{room}", strconv.Itoa(stream/members),
		"{member}", strconv.Itoa(stream%members)).Replace(template)
}

// signedURL runs a command that prints a URL, for servers whose URLs must be signed: {stream},
// {action} (publish or play) and {proto} (rtmp, flv or ws) are replaced in it. The last word
// printed that looks like a URL counts.
func signedURL(command, stream, action, proto string) (string, error) {
	words := strings.Fields(strings.NewReplacer("{stream}", stream, "{action}", action, "{proto}", proto).Replace(command))
	if len(words) == 0 {
		return "", fmt.Errorf("run --cmd-url: empty")
	}
	out, err := exec.Command(words[0], words[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("run --cmd-url: %w", err)
	}
	found := ""
	for _, w := range strings.Fields(string(out)) {
		if strings.Contains(w, "://") {
			found = strings.Trim(w, `"'`)
		}
	}
	if found == "" {
		return "", fmt.Errorf("run --cmd-url: it printed no URL")
	}
	return found, nil
}
