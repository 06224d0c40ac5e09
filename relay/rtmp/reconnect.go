package rtmp

import (
	"net/url"
	"strings"

	"liverelay/relay/door"
)

// codeReconnect asks a client to connect again (E-RTMP v2, "Reconnect Request"): it goes on until
// it has another connection.
const codeReconnect = "NetConnection.Connect.ReconnectRequest"

// Reconnect asks every client that announced that it understands it to connect again: at base, such
// as rtmp://HOST:PORT, or, if that is "", where it connected to.
func (s *Server) Reconnect(base string) {
	s.init()
	s.mu.Lock()
	members := s.membersLocked()
	s.mu.Unlock()
	for _, m := range members {
		m.reconnect(base)
	}
}

// reconnectRequest is the message to one that connected with tcURL.
func (o *output) reconnectRequest(base, tcURL string) {
	info := map[string]any{"level": levelStatus, "code": codeReconnect, "description": "this node is to be left"}
	if base != "" {
		info["tcUrl"] = rebased(base, tcURL)
	}
	o.command(0, "onStatus", 0, nil, info)
}

// rebased returns tcURL at another host: its app, and the token that it may hold, stay.
func rebased(base, tcURL string) string {
	if _, rest, ok := strings.Cut(tcURL, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return base + rest[i:]
		}
	}
	return base + "/" + strings.TrimPrefix(tcURL, "/")
}

// canReconnect returns what a peer connected with if it says in connect that it understands a
// request to connect again; "": it does not.
func canReconnect(request map[string]any) string {
	caps, _ := request["capsEx"].(float64)
	tcURL, _ := request["tcUrl"].(string)
	if _, err := url.Parse(tcURL); err != nil || flagsOf(caps)&capsReconnect == 0 {
		return ""
	}
	return tcURL
}

func (s *session) reconnect(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moves != "" && s.course.Phase() < door.Leaving {
		o := s.output()
		o.reconnectRequest(base, s.moves)
		s.asked = o // its own goroutine writes
	}
}

func (p *player) reconnect(base string) {
	p.mu.Lock()
	sub, tcURL := p.sub, p.moves
	p.mu.Unlock()
	if sub == nil || tcURL == "" {
		return
	}
	o := p.output()
	o.reconnectRequest(base, tcURL)
	_ = sub.Control(o.bytes)
}
