package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"liverelay/bucket"
)

// Role says what a token may do. Each may do what the one before may.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // reads
	RoleOperator Role = "operator" // changes what runs: kicks, bans, closes, signs addresses
	RoleAdmin    Role = "admin"    // also makes tokens, reads profiles and changes the configuration
)

// Roles are all of them, from the least.
var Roles = []Role{RoleViewer, RoleOperator, RoleAdmin}

func (r Role) covers(least Role) bool { return slices.Index(Roles, r) >= slices.Index(Roles, least) }

// Token is one credential of the API.
type Token struct {
	Name  string // for the audit log
	Token string
	Role  Role
	Apps  []string // the only ones that it may see and change; none: all, and what belongs to no app
}

// actor is who makes a request.
type actor struct {
	name, remote string
	role         Role
	apps         []string
	hash         [sha256.Size]byte // of the token
}

// covers says whether the actor may see and change an app; "" stands for what belongs to the node.
func (a *actor) covers(app string) bool { return len(a.apps) == 0 || slices.Contains(a.apps, app) }

// Actor is the token's owner, as the API shows it.
type Actor struct {
	Name    string   `json:"name" doc:"Of the token"`
	Role    Role     `json:"role" enum:"viewer,operator,admin"`
	Apps    []string `json:"apps" nullable:"false" doc:"The only ones that the token is for; none: all, and what belongs to no app"`
	Node    string   `json:"node" doc:"The node that answers"`
	Version string   `json:"version" doc:"Of the node"`
}

type actorReply struct{ Body Actor }

func (s *Server) access() {
	register(s, operation{
		method: http.MethodGet, path: "me", id: "who-am-i", tag: "access", summary: "Show what the token may do",
	}, func(ctx context.Context, _ *struct{}) (*actorReply, error) {
		who := actorOf(ctx)
		return &actorReply{Actor{who.name, who.role, append([]string{}, who.apps...), s.cfg.Node, s.cfg.Version}}, nil
	})
}

type actorKey struct{}

func actorOf(ctx context.Context) *actor {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return &actor{role: RoleViewer, apps: []string{""}} // cannot be: guard puts it there
	}
	return a
}

// guard lets a request through that carries a token, and hands on whose it is.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		who, ok := s.actor(strings.TrimSpace(token))
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			if token != "" && !s.wrong.take(remoteAddr(r), time.Now()) {
				w.Header().Set("Retry-After", "1")
				problem(w, http.StatusTooManyRequests, "too many wrong tokens from here")
				return
			}
			if token != "" {
				s.cfg.Log.Warn("admin token refused", "remote", r.RemoteAddr)
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="liverelay admin"`) // RFC 6750 §3
			problem(w, http.StatusUnauthorized, "send an admin token: Authorization: Bearer …")
			return
		}
		who.remote = r.RemoteAddr
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, &who)))
	})
}

// only is guard for what has one role.
func (s *Server) only(role Role, next http.Handler) http.Handler {
	return s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := actorOf(r.Context()); !a.role.covers(role) || len(a.apps) > 0 {
			problem(w, http.StatusForbidden, "needs the role "+string(role)+" for all apps")
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// actor finds whose token it is.
func (s *Server) actor(token string) (found actor, ok bool) {
	found, ok = s.tokens.Load().actor(sha256.Sum256([]byte(token)))
	return found, ok && token != ""
}

// credentials are the tokens that are good until others take their place.
type credentials struct {
	list     []hashedToken
	replaced chan struct{} // closed when they do
}

// actor finds whose token has this hash. All are compared, so that it takes as long whatever the
// token is.
func (c *credentials) actor(hash [sha256.Size]byte) (found actor, ok bool) {
	for i := range c.list {
		t := &c.list[i]
		if subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 {
			found, ok = actor{name: t.Name, role: t.Role, apps: t.Apps, hash: t.hash}, true
		}
	}
	return found, ok
}

// know says whether the actor may still see what it could when its token was looked at.
func (c *credentials) know(a *actor) bool {
	now, ok := c.actor(a.hash)
	return ok && slices.Equal(now.apps, a.apps)
}

// hashedToken is a token as it is compared; the text itself is not kept.
type hashedToken struct {
	Token
	hash [sha256.Size]byte
}

func hashed(tokens []Token) []hashedToken {
	list := make([]hashedToken, len(tokens))
	for i, t := range tokens {
		list[i] = hashedToken{t, sha256.Sum256([]byte(t.Token))}
		list[i].Token.Token = ""
	}
	return list
}

// sameSite refuses what a page of another site makes its visitor's browser send, also one whose
// name was made to point here (DNS rebinding).
func (s *Server) sameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !probes[r.URL.Path] && !s.ownHost(r) {
			problem(w, http.StatusForbidden, "called by another name: list it in admin.hosts")
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
			problem(w, http.StatusForbidden, "from another site's page")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// probes may be asked for by any name: load balancers and scrapers have their own for a node, and
// the answers are no secret.
var probes = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// ownHost says whether the request was made to a name that the listener goes by.
func (s *Server) ownHost(r *http.Request) bool {
	host := hostname(r.Host)
	if host == "localhost" || s.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if addr.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap() == addr.Unmap()
}

// hostname is a host without its port, in small letters.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, host)
}

// wrongRate is how many wrong tokens one address may send: so many at once, then one a second. A
// right one is never held up.
var wrongRate = bucket.Rate{Second: 1, Burst: 50}

// wrongSources is how many addresses are told apart.
const wrongSources = 4096

// throttle counts wrong tokens by address.
type throttle struct {
	mu      sync.Mutex
	sources map[netip.Addr]*bucket.Bucket
	swept   time.Time
}

// take counts one wrong token; false: too many.
func (t *throttle) take(from netip.Addr, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sources == nil {
		t.sources = map[netip.Addr]*bucket.Bucket{}
	}
	if t.sources[from] == nil && len(t.sources) >= wrongSources {
		t.sweep(now)
		if len(t.sources) >= wrongSources {
			from = netip.Addr{} // all others together
		}
	}
	b := t.sources[from]
	if b == nil {
		b = new(bucket.Bucket)
		t.sources[from] = b
	}
	return b.Take(wrongRate, now)
}

// sweep forgets the addresses that sent no wrong token for long, at most once a second.
func (t *throttle) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Second {
		return
	}
	t.swept = now
	for addr, b := range t.sources {
		if b.Full(wrongRate, now) {
			delete(t.sources, addr)
		}
	}
}

// remoteAddr is whose request it is: of IPv6 the network, for one host has as many addresses as it
// likes.
func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}
