package door

import (
	"net/http"
)

// Route is what one part of a server answers on the public HTTP listeners.
type Route struct {
	// Match says whether a request is for it; it is asked before all patterns, in order, and sees
	// paths as they came, for a [http.ServeMux] tidies up those that must be refused.
	Match   func(*http.Request) bool
	Pattern string // of [http.ServeMux], where Match is nil
	Handler http.Handler
	// Plays says that a request would play and that who sends it follows a redirect, so that a node
	// that drains may send it to another; its path begins with the app. Nil: none is such.
	Plays func(*http.Request) bool
	Body  bool // reads bodies; else a request with one is answered without it
}

// NewMux joins routes. What is for none is not found.
func NewMux(routes []Route) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", bodiless(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		Refuse(w, http.StatusNotFound, "not found")
	})))
	var matched []Route
	for _, r := range routes {
		if !r.Body {
			r.Handler = bodiless(r.Handler)
		}
		if r.Match != nil {
			matched = append(matched, r)
		} else {
			mux.Handle(r.Pattern, r.Handler)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, route := range matched {
			if route.Match(r) {
				route.Handler.ServeHTTP(w, r)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// bodiless has a connection end whose request has a body: net/http would read
// what nobody wants before it replies.
func bodiless(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
