package room

import (
	"log/slog"
	"net/http"
	"time"
)

// App is what the service knows of one app.
type App struct {
	Name    string
	ID      uint32
	Secrets []string // of the server API's signatures and the callbacks; the first signs

	Callback       string // URL of the app's backend; empty: no callbacks
	CallbackSecret string // empty: the first of Secrets
	ExtraKeys      int    // room extra info keys per room; 0: 1
}

// URLRequest asks for signed media addresses.
type URLRequest struct {
	App, Stream string
	Publish     bool
	User, Room  string
	Session     string        // the session that asks; empty: a device's URL, by the server API
	Source      string        // "BGP": this relay, "CDN"
	Params      string        // the application's own query
	Host        string        // as the client addressed this server: host[:port]
	Secure      bool          // it came over TLS
	TTL         time.Duration // of the addresses
	ID          string        // of the grant in them; empty: a new one
}

// URLs are signed media addresses, best first.
type URLs struct {
	ID   string   `json:"-"` // of the grant in them, for revocation
	RTMP []string `json:"rtmp,omitempty"`
	FLV  []string `json:"flv,omitempty"`
	WS   []string `json:"ws,omitempty"`
	WHEP []string `json:"whep,omitempty"`
	WHIP []string `json:"whip,omitempty"`
}

func (u URLs) first() string {
	for _, list := range [...][]string{u.RTMP, u.FLV, u.WS, u.WHEP, u.WHIP} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return ""
}

// StreamRef is one publisher's stream on this node, for Config.EndStream.
type StreamRef struct {
	App, Stream string
	Epoch       uint64 // as in StreamPublished: a newer one is another publisher's
}

// Config is what a Service is made of. Zero durations and sizes take the defaults
// in brackets.
type Config struct {
	Node  string // id of this process's run, unique; default random
	Store Store
	Bus   Bus
	Log   *slog.Logger

	// App finds an app by id, name or both; what is zero is not asked for.
	App func(id uint32, name string) (App, bool)
	// Origin says whether a web page from this origin may log in to an app, at the
	// host that it asked. Optional: any.
	Origin func(app, origin, host string) bool
	// Secure says whether a client came over TLS, to us or to a proxy in front. Optional: to us.
	Secure func(*http.Request) bool
	// Access decides on logins, publishes and plays.
	Access Access
	// EndStream ends a publisher on this node, EndPlayers what a user of a room plays
	// here. Optional. They have a goroutine.
	EndStream  func(StreamRef, Reason)
	EndPlayers func(PlayersRef, Reason)
	// StreamLive reports whether a stream has media anywhere in the service. Optional.
	StreamLive func(app, stream string) bool

	Grace        time.Duration // how long a lost connection's session waits [90 s]
	MediaGrace   time.Duration // how long a dead node's streams stay announced [10 s]
	Heartbeat    time.Duration // of clients; three missed ones end a connection [20 s, at most a third of Grace, at least 1 s]
	LoginTimeout time.Duration // for the first login of a connection [15 s]
	LeaseTTL     time.Duration // of a node's lease in a room [15 s]
	StoreTimeout time.Duration // for one step at the store [2 s]
	Settle       time.Duration // after an outage of the store, before new rooms are made: nodes restore theirs first [1.5 s]
	WriteTimeout time.Duration // for one frame to a client [10 s]
	Tick         time.Duration // of the housekeeping [1 s]
	CountEvery   time.Duration // user counts to members [30 s]
	MergeFor     time.Duration // how long user events of a room above 500 users are held back, to be merged [5 s]
	MaxMembers   int           // per room; 0: no limit
	MaxRooms     int           // per connection [5]
	MaxNodeRooms int           // with members here at once; 0: no limit
	MaxPlays     int           // per session [50]
	MaxConns     int           // signalling connections of this node [0: no limit]

	// CallbackRetry are the waits between tries of a callback [2, 4, 8, 16, 32 s].
	CallbackRetry []time.Duration
	// Now is the clock [time.Now].
	Now func() time.Time
}

func (c *Config) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.Grace, 90*time.Second)
	set(&c.MediaGrace, 10*time.Second)
	set(&c.Heartbeat, max(min(20*time.Second, c.Grace/missedBeats), time.Second))
	set(&c.LoginTimeout, 15*time.Second)
	set(&c.LeaseTTL, 15*time.Second)
	set(&c.StoreTimeout, 2*time.Second)
	set(&c.Settle, 1500*time.Millisecond)
	set(&c.WriteTimeout, 10*time.Second)
	set(&c.Tick, time.Second)
	set(&c.CountEvery, 30*time.Second)
	set(&c.MergeFor, 5*time.Second)
	if c.MaxRooms <= 0 {
		c.MaxRooms = 5
	}
	if c.MaxPlays <= 0 {
		c.MaxPlays = 50
	}
	if c.CallbackRetry == nil {
		c.CallbackRetry = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Secure == nil {
		c.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if c.Node == "" {
		c.Node = newID()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
