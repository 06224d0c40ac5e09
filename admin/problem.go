package admin

import (
	"encoding/json"
	"net/http"
	"strings"
)

// problems answers what mux does not know as problem+json rather than as text, and
// adds to every answer that nobody should guess its type or keep it.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if _, pattern := mux.Handler(r); pattern == "" {
			refuse(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// refuse says 405 where another method would be right, else 404 (RFC 9110 §15.5.5-6).
func refuse(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	probe := r.Clone(r.Context())
	for _, probe.Method = range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if _, pattern := mux.Handler(probe); pattern != "" {
			allowed = append(allowed, probe.Method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem(w, http.StatusMethodNotAllowed, "allowed here: "+strings.Join(allowed, ", "))
		return
	}
	problem(w, http.StatusNotFound, "nothing here: /api/openapi.json says what there is")
}

// problem writes an RFC 9457 error, in the form that huma writes too.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"title": http.StatusText(status), "status": status, "detail": detail,
	})
}
