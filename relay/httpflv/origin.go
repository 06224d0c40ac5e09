package httpflv

import (
	"net/http"
	"net/url"
	"strings"
)

// allowOrigin sets the CORS headers (Fetch standard, "HTTP extensions"), on every
// reply alike, so that a page can read errors too. It returns false when the request comes
// from a page that may not use the app. A request without Origin comes from no page.
func (h *Handler) allowOrigin(header http.Header, r *http.Request, app string) bool {
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if !sameOrigin(origin, r.Host) && (h.Origins == nil || !h.Origins(app, origin)) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	return true
}

// sameOrigin says whether the page came from the host that is asked; browsers
// send Origin with a WebSocket then too.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

const methods = "GET, HEAD, OPTIONS"

// preflight answers OPTIONS, from a browser before the request proper or from
// anybody else. It needs no access: it tells nothing of any stream.
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Allow", methods)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		header.Set("Access-Control-Allow-Methods", methods)
		// Named one by one: older browsers do not know "*" here.
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && len(asked) <= 1024 {
			header.Set("Access-Control-Allow-Headers", asked)
		}
		header.Set("Access-Control-Max-Age", "86400")
		header.Add("Vary", "Access-Control-Request-Headers")
	}
	w.WriteHeader(http.StatusNoContent)
}
