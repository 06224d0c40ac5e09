// Package config is everything that can be set: what holds by default, what the file and
// the environment say, what is wrong with it. It alone knows viper.
package config

import (
	"strings"
	"time"
)

// Config is everything a user can set. Each field's key is its `key` tag, with the section in
// front: rtmp.listen; as environment, LIVERELAY_RTMP_LISTEN. Default holds the defaults,
// config.yaml a comment for every key. What is tagged live may change while a server runs, and is
// read where it is used; what is tagged secret is shown to nobody: yes, or of an address all but
// the host.
type Config struct {
	Node    Node    `key:"node"`
	Apps    []App   `key:"apps" live:"yes"`
	RTMP    RTMP    `key:"rtmp"`
	HTTP    HTTP    `key:"http"`
	TLS     TLS     `key:"tls"`
	Admin   Admin   `key:"admin"`
	Relay   Relay   `key:"relay"`
	Room    Room    `key:"room"`
	Redis   Redis   `key:"redis"`
	Cluster Cluster `key:"cluster"`
	WebRTC  WebRTC  `key:"webrtc"`
	Web     Web     `key:"web"`
	Hooks   Hooks   `key:"hooks"`
	Limits  Limits  `key:"limits"`
	Proxy   Proxy   `key:"proxy_protocol"`
	Log     Log     `key:"log"`
}

// Node says who this process is.
type Node struct {
	ID           string        `key:"id"`
	Advertise    string        `key:"advertise" live:"yes"`
	DrainTimeout time.Duration `key:"drain_timeout" live:"yes"`
}

// App is one tenant: its own secrets and rules, nothing shared with others.
type App struct {
	Name     string   `key:"name"`
	ID       uint32   `key:"id"`
	Secret   Secret   `key:"secret" secret:"yes"`
	Publish  string   `key:"publish"`
	Play     string   `key:"play"`
	Takeover string   `key:"takeover"`
	Origins  []string `key:"origins"`
	Filler   string   `key:"filler"`
	CDN      CDN      `key:"cdn"`
}

// CDN is where the app's streams can be pulled from instead of here.
type CDN struct {
	RTMP string `key:"rtmp" secret:"address"`
	FLV  string `key:"flv" secret:"address"`
}

// Secret is one secret or several: the first signs, all verify.
type Secret []string

// String keeps secrets out of logs and messages.
func (Secret) String() string { return "(secret)" }

// RTMP is the RTMP door.
type RTMP struct {
	Listen    string `key:"listen"`
	TLSListen string `key:"tls_listen"`
	ChunkSize int    `key:"chunk_size"`
}

// HTTP is the public HTTP door.
type HTTP struct {
	Listen    string `key:"listen"`
	TLSListen string `key:"tls_listen"`
}

// TLS is the certificate of every tls_listen.
type TLS struct {
	Cert string `key:"cert"`
	Key  string `key:"key"`
}

// Admin is the operators' listener.
type Admin struct {
	Listen        string       `key:"listen"`
	Token         string       `key:"token" live:"yes" secret:"yes"`
	Tokens        []AdminToken `key:"tokens" live:"yes"`
	Hosts         []string     `key:"hosts"`
	StreamMetrics bool         `key:"stream_metrics"`
	Trace         bool         `key:"trace" live:"yes"`
}

// AdminToken is one credential of the operators' API.
type AdminToken struct {
	Name  string   `key:"name"`
	Token string   `key:"token" secret:"yes"`
	Role  string   `key:"role"`
	Apps  []string `key:"apps"`
}

// String keeps the token out of logs and messages.
func (t AdminToken) String() string { return t.Name }

// Relay is the media core.
type Relay struct {
	Start          string        `key:"start" live:"yes"`
	Backlog        time.Duration `key:"backlog" live:"yes"`
	FlushInterval  time.Duration `key:"flush_interval"`
	PublishTimeout time.Duration `key:"publish_timeout" live:"yes"`
	IdleTimeout    time.Duration `key:"idle_timeout" live:"yes"`
	ResumeWindow   time.Duration `key:"resume_window" live:"yes"`
	PlayWait       time.Duration `key:"play_wait" live:"yes"`
	WriteTimeout   time.Duration `key:"write_timeout" live:"yes"`
	RingTime       time.Duration `key:"ring_time" live:"yes"`
	RingBytes      Size          `key:"ring_bytes" live:"yes"`
	RingMessages   int           `key:"ring_messages" live:"yes"`
	RingMemory     Size          `key:"ring_memory" live:"yes"` // 0: see defaultRingMemory
	IOUring        bool          `key:"io_uring"`
}

// Room is the rooms.
type Room struct {
	Grace      time.Duration `key:"grace"`
	MaxMembers int           `key:"max_members"`
	MaxRooms   int           `key:"max_rooms"`
}

// Redis is the shared store of several nodes; no address: in memory.
type Redis struct {
	Addrs      []string `key:"addrs"`
	MasterName string   `key:"master_name"`
	Username   string   `key:"username"`
	Password   string   `key:"password" secret:"yes"`

	SentinelUsername string `key:"sentinel_username"`
	SentinelPassword string `key:"sentinel_password" secret:"yes"`
	SentinelTLS      Switch `key:"sentinel_tls"`

	Cluster Switch `key:"cluster"`
	DB      int    `key:"db"`
	TLS     bool   `key:"tls"`
	Prefix  string `key:"prefix"`
}

// Cluster is the way between nodes; no address to listen on: media stay on their node.
type Cluster struct {
	Listen    string        `key:"listen"`
	Advertise string        `key:"advertise"`
	Secret    Secret        `key:"secret" secret:"yes"`
	Zone      string        `key:"zone"`
	Linger    time.Duration `key:"linger"`
}

// WebRTC is the WHEP and WHIP door; no address to listen on: there is none.
type WebRTC struct {
	Listen     string      `key:"listen"`
	Public     []string    `key:"public"`
	TCP        bool        `key:"tcp"`
	ICEServers []ICEServer `key:"ice_servers"`
}

// ICEServer is a STUN or TURN server that clients are told of.
type ICEServer struct {
	URLs       []string      `key:"urls"`
	Username   string        `key:"username"`
	Credential string        `key:"credential" secret:"yes"`
	Secret     string        `key:"secret" secret:"yes"`
	TTL        time.Duration `key:"ttl"`
}

// String keeps credentials out of logs and messages.
func (i ICEServer) String() string { return strings.Join(i.URLs, ",") }

// Switch is true, false or auto, which the key explains.
type Switch string

// Web is the pages.
type Web struct {
	Call bool `key:"call"`
	Play bool `key:"play"`
	Demo bool `key:"demo"`
}

// Hooks is the operator's own server, asked and told.
type Hooks struct {
	Authorize     string        `key:"authorize" live:"yes" secret:"address"`
	Events        string        `key:"events" live:"yes" secret:"address"`
	Secret        string        `key:"secret" live:"yes" secret:"yes"`
	Timeout       time.Duration `key:"timeout" live:"yes"`
	OnFailure     string        `key:"on_failure" live:"yes"`
	UsageInterval time.Duration `key:"usage_interval"`
}

// Limits is what one node takes at most; 0 is no limit.
type Limits struct {
	Connections      int `key:"connections" live:"yes"`
	PerIP            int `key:"per_ip" live:"yes"`
	AcceptRatePerIP  int `key:"accept_rate_per_ip" live:"yes"`
	PublishKbps      int `key:"publish_kbps" live:"yes"`
	ViewersPerStream int `key:"viewers_per_stream" live:"yes"`
	ViewersPerApp    int `key:"viewers_per_app" live:"yes"`
}

// Proxy says whose PROXY protocol header is believed.
type Proxy struct {
	Trusted []string `key:"trusted"`
}

// Log is what goes to standard error.
type Log struct {
	Level  string `key:"level" live:"yes"`
	Format string `key:"format"`
}

// Default returns what holds when nothing is set.
func Default() Config {
	return Config{
		Node:  Node{DrainTimeout: 10 * time.Second},
		RTMP:  RTMP{Listen: ":1935", ChunkSize: 60_000},
		HTTP:  HTTP{Listen: ":8080"},
		Admin: Admin{Listen: "127.0.0.1:8081"},
		Relay: Relay{
			Start:          "gop",
			Backlog:        2 * time.Second,
			IOUring:        true,
			PublishTimeout: 5 * time.Second,
			IdleTimeout:    60 * time.Second,
			ResumeWindow:   20 * time.Second,
			PlayWait:       10 * time.Second,
			WriteTimeout:   10 * time.Second,
			RingTime:       30 * time.Second,
			RingBytes:      64 << 20,
			RingMessages:   16384,
		},
		Room:    Room{Grace: 90 * time.Second},
		Redis:   Redis{SentinelTLS: "auto", Cluster: "auto", Prefix: "liverelay"},
		Cluster: Cluster{Linger: 10 * time.Second},
		WebRTC:  WebRTC{Listen: ":8000", TCP: true},
		Web:     Web{Call: true, Play: true},
		Hooks:   Hooks{Timeout: 2 * time.Second, OnFailure: "deny", UsageInterval: time.Minute},
		Log:     Log{Level: "info", Format: "text"},
	}
}

// defaultICEServer is what holds for a server where it sets nothing itself.
func defaultICEServer() ICEServer { return ICEServer{TTL: time.Hour} }

// DefaultApp returns what holds for an app where it sets nothing itself.
func DefaultApp() App {
	return App{Publish: "token", Play: "token", Takeover: "same-user", Origins: []string{"*"}}
}
