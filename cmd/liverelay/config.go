package main

import (
	"time"

	"liverelay/relay/rtmp"
)

// Config is everything a user can set. Each field's key is its `key` tag, with
// the section in front: rtmp.listen; as environment, LIVERELAY_RTMP_LISTEN.
// defaultConfig holds the defaults, config.yaml a comment for every key.
type Config struct {
	Node   NodeConfig   `key:"node"`
	Apps   []AppConfig  `key:"apps"`
	RTMP   RTMPConfig   `key:"rtmp"`
	HTTP   HTTPConfig   `key:"http"`
	TLS    TLSConfig    `key:"tls"`
	Admin  AdminConfig  `key:"admin"`
	Relay  RelayConfig  `key:"relay"`
	Room   RoomConfig   `key:"room"`
	Redis  RedisConfig  `key:"redis"`
	Web    WebConfig    `key:"web"`
	Hooks  HooksConfig  `key:"hooks"`
	Limits LimitsConfig `key:"limits"`
	Proxy  ProxyConfig  `key:"proxy_protocol"`
	Log    LogConfig    `key:"log"`
}

// NodeConfig says who this process is.
type NodeConfig struct {
	ID           string        `key:"id"`
	Advertise    string        `key:"advertise"`
	DrainTimeout time.Duration `key:"drain_timeout"`
}

// AppConfig is one tenant: its own secrets and rules, nothing shared with others.
type AppConfig struct {
	Name     string    `key:"name"`
	ID       uint32    `key:"id"`
	Secret   Secret    `key:"secret"`
	Publish  string    `key:"publish"`
	Play     string    `key:"play"`
	Takeover string    `key:"takeover"`
	Origins  []string  `key:"origins"`
	CDN      CDNConfig `key:"cdn"`
}

// CDNConfig is where the app's streams can be pulled from instead of here.
type CDNConfig struct {
	RTMP string `key:"rtmp"`
	FLV  string `key:"flv"`
}

// Secret is one secret or several: the first signs, all verify.
type Secret []string

// String keeps secrets out of logs and messages.
func (Secret) String() string { return "(secret)" }

// RTMPConfig is the RTMP door.
type RTMPConfig struct {
	Listen    string `key:"listen"`
	TLSListen string `key:"tls_listen"`
	ChunkSize int    `key:"chunk_size"`
}

// HTTPConfig is the public HTTP door.
type HTTPConfig struct {
	Listen    string `key:"listen"`
	TLSListen string `key:"tls_listen"`
}

// TLSConfig is the certificate of every tls_listen.
type TLSConfig struct {
	Cert string `key:"cert"`
	Key  string `key:"key"`
}

// AdminConfig is the operators' listener.
type AdminConfig struct {
	Listen string `key:"listen"`
	Token  string `key:"token"`
}

// RelayConfig is the media core.
type RelayConfig struct {
	Start          string        `key:"start"`
	Backlog        time.Duration `key:"backlog"`
	FlushInterval  time.Duration `key:"flush_interval"`
	PublishTimeout time.Duration `key:"publish_timeout"`
	IdleTimeout    time.Duration `key:"idle_timeout"`
	ResumeWindow   time.Duration `key:"resume_window"`
	PlayWait       time.Duration `key:"play_wait"`
	WriteTimeout   time.Duration `key:"write_timeout"`
	RingTime       time.Duration `key:"ring_time"`
	RingBytes      Size          `key:"ring_bytes"`
	RingMessages   int           `key:"ring_messages"`
	RingMemory     Size          `key:"ring_memory"` // 0: see defaultRingMemory
	IOUring        bool          `key:"io_uring"`
}

// RoomConfig is the rooms.
type RoomConfig struct {
	Grace      time.Duration `key:"grace"`
	MaxMembers int           `key:"max_members"`
	MaxRooms   int           `key:"max_rooms"`
}

// RedisConfig is the shared store of several nodes; no address: in memory.
type RedisConfig struct {
	Addrs      []string `key:"addrs"`
	MasterName string   `key:"master_name"`
	Username   string   `key:"username"`
	Password   string   `key:"password"`

	SentinelUsername string `key:"sentinel_username"`
	SentinelPassword string `key:"sentinel_password"`
	SentinelTLS      Switch `key:"sentinel_tls"`

	Cluster Switch `key:"cluster"`
	DB      int    `key:"db"`
	TLS     bool   `key:"tls"`
	Prefix  string `key:"prefix"`
}

// Switch is true, false or auto, which the key explains.
type Switch string

// WebConfig is the pages.
type WebConfig struct {
	Call bool `key:"call"`
	Play bool `key:"play"`
	Demo bool `key:"demo"`
}

// HooksConfig is the operator's own server, asked and told.
type HooksConfig struct {
	Authorize string        `key:"authorize"`
	Events    string        `key:"events"`
	Secret    string        `key:"secret"`
	Timeout   time.Duration `key:"timeout"`
	OnFailure string        `key:"on_failure"`
}

// LimitsConfig is what one node takes at most; 0 is no limit.
type LimitsConfig struct {
	Connections      int `key:"connections"`
	PerIP            int `key:"per_ip"`
	AcceptRatePerIP  int `key:"accept_rate_per_ip"`
	PublishKbps      int `key:"publish_kbps"`
	ViewersPerStream int `key:"viewers_per_stream"`
	ViewersPerApp    int `key:"viewers_per_app"`
}

// ProxyConfig says whose PROXY protocol header is believed.
type ProxyConfig struct {
	Trusted []string `key:"trusted"`
}

// LogConfig is what goes to standard error.
type LogConfig struct {
	Level  string `key:"level"`
	Format string `key:"format"`
}

// defaultConfig returns what holds when nothing is set.
func defaultConfig() Config {
	return Config{
		Node:  NodeConfig{DrainTimeout: 10 * time.Second},
		RTMP:  RTMPConfig{Listen: ":1935", ChunkSize: rtmp.DefaultChunkSize},
		HTTP:  HTTPConfig{Listen: ":8080"},
		Admin: AdminConfig{Listen: "127.0.0.1:8081"},
		Relay: RelayConfig{
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
		Room:  RoomConfig{Grace: 90 * time.Second},
		Redis: RedisConfig{SentinelTLS: "auto", Cluster: "auto", Prefix: "liverelay"},
		Web:   WebConfig{Call: true, Play: true},
		Hooks: HooksConfig{Timeout: 2 * time.Second, OnFailure: "deny"},
		Log:   LogConfig{Level: "info", Format: "text"},
	}
}

// defaultApp returns what holds for an app where it sets nothing itself.
func defaultApp() AppConfig {
	return AppConfig{Publish: "token", Play: "token", Takeover: "same-user", Origins: []string{"*"}}
}
