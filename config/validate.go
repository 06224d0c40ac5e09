package config

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
)

// secretLength is what Token04 takes: the bytes of an AES-256 key.
const secretLength = 32

// check refuses values that can be read but cannot work. It returns the first
// problem in the order of config.yaml.
func (c *Config) check() *KeyError {
	checks := []*KeyError{
		checkNodeID(c.Node.ID),
		checkHost("node.advertise", c.Node.Advertise),
		checkApps(c.Apps),
		checkListen("rtmp.listen", c.RTMP.Listen),
		checkListen("rtmp.tls_listen", c.RTMP.TLSListen),
		checkRange("rtmp.chunk_size", c.RTMP.ChunkSize, 128, 1<<24-1),
		checkListen("http.listen", c.HTTP.Listen),
		checkListen("http.tls_listen", c.HTTP.TLSListen),
		c.checkTLS(),
		checkListen("admin.listen", c.Admin.Listen),
		c.checkAdminTokens(),
		checkEach("admin.hosts", c.Admin.Hosts, checkHost),
		checkOneOf("relay.start", c.Relay.Start, "gop", "fast", "live"),
		checkAtLeast("relay.backlog", c.Relay.Backlog, 100*time.Millisecond),
		checkAtMost("relay.flush_interval", c.Relay.FlushInterval, time.Second),
		checkAtLeast("relay.publish_timeout", c.Relay.PublishTimeout, 100*time.Millisecond),
		checkAtLeast("relay.idle_timeout", c.Relay.IdleTimeout, 100*time.Millisecond),
		checkAtLeast("relay.write_timeout", c.Relay.WriteTimeout, 100*time.Millisecond),
		checkAtLeast("relay.ring_time", c.Relay.RingTime, time.Second),
		checkAtMost("relay.ring_time", c.Relay.RingTime, 10*time.Minute),
		checkSize("relay.ring_bytes", c.Relay.RingBytes, 1<<20, 1<<30),
		checkRange("relay.ring_messages", c.Relay.RingMessages, 256, 1<<20),
		c.checkRingMemory(),
		checkEach("redis.addrs", c.Redis.Addrs, checkAddress),
		c.checkRedis(),
		checkListen("cluster.listen", c.Cluster.Listen),
		checkListen("cluster.advertise", c.Cluster.Advertise),
		c.checkCluster(),
		checkListen("webrtc.listen", c.WebRTC.Listen),
		checkEach("webrtc.public", c.WebRTC.Public, checkHost),
		checkICEServers(c.WebRTC.ICEServers),
		checkURL("hooks.authorize", c.Hooks.Authorize),
		checkURL("hooks.events", c.Hooks.Events),
		checkAtLeast("hooks.timeout", c.Hooks.Timeout, 10*time.Millisecond),
		checkAtLeast("hooks.usage_interval", c.Hooks.UsageInterval, time.Second),
		checkOneOf("hooks.on_failure", c.Hooks.OnFailure, "deny", "allow"),
		c.checkHooked(),
		checkEach("proxy_protocol.trusted", c.Proxy.Trusted, checkPrefix),
		checkOneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		checkOneOf("log.format", c.Log.Format, "text", "json"),
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkNodeID: the id stands in front of other things in what nodes tell each other.
func checkNodeID(id string) *KeyError {
	if id == "" {
		return nil
	}
	if _, err := relay.ParseName(id, "x"); err != nil {
		return badKey("node.id", "%.40q is not 1 to 256 letters, digits, '-', '_' or '.'", id)
	}
	return nil
}

func (c *Config) checkAdminTokens() *KeyError {
	names, texts := map[string]bool{}, map[string]bool{c.Admin.Token: true}
	for i, t := range c.Admin.Tokens {
		key := func(name string) string { return fmt.Sprintf("admin.tokens[%d].%s", i, name) }
		switch {
		case names[t.Name]:
			return badKey(key("name"), "%.40q is there twice", t.Name)
		case t.Token == "":
			return badKey(key("token"), "is missing")
		case texts[t.Token]:
			return badKey(key("token"), "is another one's, too")
		}
		if err := checkOneOf(key("role"), t.Role, "viewer", "operator", "admin"); err != nil {
			return err
		}
		for _, app := range t.Apps {
			if !slices.ContainsFunc(c.Apps, func(a App) bool { return a.Name == app }) && !(len(c.Apps) == 0 && app == MadeApp) {
				return badKey(key("apps"), "%.40q is not an app", app)
			}
		}
		names[t.Name], texts[t.Token] = t.Name != "", true
	}
	return nil
}

// MadeApp is the name of the app that there is where none is configured.
const MadeApp = "live"

func checkApps(apps []App) *KeyError {
	names, ids := map[string]bool{}, map[uint32]bool{}
	for i, app := range apps {
		key := func(name string) string { return fmt.Sprintf("apps[%d].%s", i, name) }
		if app.Name == "" {
			return badKey(key("name"), "is missing")
		}
		if name, err := relay.ParseName(app.Name, "x"); err != nil || name.App != app.Name {
			return badKey(key("name"), "%.40q is not 1 to 256 letters, digits, '-', '_' or '.'", app.Name)
		}
		if slices.Contains(reservedApps, app.Name) {
			return badKey(key("name"), "%s is a path of the server's own", app.Name)
		}
		if names[app.Name] {
			return badKey(key("name"), "%s is there twice", app.Name)
		}
		if app.ID == 0 {
			return badKey(key("id"), "is missing: a number from 1, for the client SDK")
		}
		if ids[app.ID] {
			return badKey(key("id"), "%d is there twice", app.ID)
		}
		names[app.Name], ids[app.ID] = true, true
		if err := checkSecret(key("secret"), app.Secret); err != nil {
			return err
		}
		for _, err := range []*KeyError{
			checkOneOf(key("publish"), app.Publish, "token", "open", "hook", "token+hook"),
			checkOneOf(key("play"), app.Play, "token", "open", "hook", "token+hook"),
			checkOneOf(key("takeover"), app.Takeover, "same-user", "any", "none"),
			checkEach(key("origins"), app.Origins, checkOrigin),
			checkFiller(key("filler"), app.Filler),
			checkURL(key("cdn.rtmp"), app.CDN.RTMP, "rtmp", "rtmps"),
			checkURL(key("cdn.flv"), app.CDN.FLV),
		} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadFiller reads the FLV file that an app shows while nobody publishes.
func ReadFiller(path string) (*relay.Filler, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // another may never end
		return nil, fmt.Errorf("%s: not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	filler, err := relay.ReadFiller(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return filler, nil
}

func checkFiller(key, path string) *KeyError {
	if path == "" {
		return nil
	}
	if _, err := ReadFiller(path); err != nil {
		return badKey(key, "%v", err)
	}
	return nil
}

// reservedApps are the first parts of public paths that are no app's.
var reservedApps = []string{"api", "call", "play", "signal", "web"}

func checkSecret(key string, secret Secret) *KeyError {
	if len(secret) == 0 {
		return badKey(key, "is missing: %d characters, for example from: openssl rand -hex 16", secretLength)
	}
	for i, s := range secret {
		at := key
		if len(secret) > 1 {
			at = fmt.Sprintf("%s[%d]", key, i)
		}
		if len(s) != secretLength {
			return badKey(at, "has %d characters and needs %d, for example from: openssl rand -hex 16", len(s), secretLength)
		}
	}
	return nil
}

func (c *Config) checkTLS() *KeyError {
	for _, listen := range [][2]string{{"rtmp.tls_listen", c.RTMP.TLSListen}, {"http.tls_listen", c.HTTP.TLSListen}} {
		if listen[1] != "" && c.TLS.Cert == "" {
			return badKey("tls.cert", "is missing, %s needs it", listen[0])
		}
	}
	if c.TLS.Cert == "" && c.TLS.Key == "" {
		return nil
	}
	if c.TLS.Cert == "" {
		return badKey("tls.cert", "is missing, tls.key is set")
	}
	if c.TLS.Key == "" {
		return badKey("tls.key", "is missing, tls.cert is set")
	}
	if _, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err != nil {
		return badKey("tls.cert", "%v", err)
	}
	return nil
}

func (c *Config) checkRedis() *KeyError {
	o := c.RedisOptions()
	if key, problem := o.Problem(); key != "" {
		return badKey(key, "%s", problem)
	}
	if c.Redis.SentinelTLS != "auto" && c.Redis.MasterName == "" {
		return badKey("redis.master_name", "is missing, redis.sentinel_tls is set")
	}
	return nil
}

// leastSecret is how many characters a secret of the cluster has at least.
const leastSecret = 16

func (c *Config) checkCluster() *KeyError {
	k := &c.Cluster
	if k.Zone != "" {
		if _, err := relay.ParseName(k.Zone, "x"); err != nil {
			return badKey("cluster.zone", "%.40q is not 1 to 256 letters, digits, '-', '_' or '.'", k.Zone)
		}
	}
	for i, s := range k.Secret {
		if len(s) < leastSecret {
			return badKey(fmt.Sprintf("cluster.secret[%d]", i), "has %d characters and needs %d, for example from: openssl rand -hex 16", len(s), leastSecret)
		}
	}
	if k.Listen == "" {
		return nil
	}
	host, _, _ := net.SplitHostPort(k.Listen)
	ip := net.ParseIP(host)
	switch {
	case len(c.Redis.Addrs) == 0:
		return badKey("redis.addrs", "is missing, cluster.listen needs it: nodes find each other there")
	case len(k.Secret) == 0:
		return badKey("cluster.secret", "is missing, cluster.listen needs it, for example from: openssl rand -hex 16")
	case k.Advertise == "" && c.Node.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()):
		return badKey("cluster.advertise", "is missing: the HOST:PORT by which other nodes reach cluster.listen (%s)", k.Listen)
	}
	return nil
}

// checkICEServers takes addresses as browsers do (RFC 7064, RFC 7065).
func checkICEServers(servers []ICEServer) *KeyError {
	for i, server := range servers {
		key := func(name string) string { return fmt.Sprintf("webrtc.ice_servers[%d].%s", i, name) }
		if len(server.URLs) == 0 {
			return badKey(key("urls"), "is missing: addresses such as stun:stun.example.com or turn:turn.example.com:3478")
		}
		turn := false
		for j, u := range server.URLs {
			scheme, rest, _ := strings.Cut(u, ":")
			turn = turn || scheme == "turn" || scheme == "turns"
			if !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) || rest == "" || strings.ContainsAny(rest, " /<>\"") {
				return badKey(fmt.Sprintf("%s[%d]", key("urls"), j), "%.60q is not an address such as stun:stun.example.com or turn:turn.example.com:3478", u)
			}
		}
		switch {
		case server.Secret != "" && server.Credential != "":
			return badKey(key("credential"), "is set, and secret makes others")
		case turn && server.Secret == "" && (server.Username == "" || server.Credential == ""):
			return badKey(key("secret"), "is missing, or username and credential: TURN needs one or the other")
		case server.TTL < time.Minute:
			return badKey(key("ttl"), "%s is too short, at least 1m", server.TTL)
		}
	}
	return nil
}

// RedisOptions is the section redis as package redis wants it.
func (c *Config) RedisOptions() redis.Options {
	o := redis.Options{
		Addrs:            c.Redis.Addrs,
		MasterName:       c.Redis.MasterName,
		Username:         c.Redis.Username,
		Password:         c.Redis.Password,
		SentinelUsername: c.Redis.SentinelUsername,
		SentinelPassword: c.Redis.SentinelPassword,
		DB:               c.Redis.DB,
		Prefix:           c.Redis.Prefix,
	}
	if c.Redis.Cluster != "auto" {
		yes := c.Redis.Cluster == "true"
		o.Cluster = &yes
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Redis.TLS {
		o.TLS = secure
	}
	if c.Redis.SentinelTLS == "true" || c.Redis.SentinelTLS == "auto" && c.Redis.TLS {
		o.SentinelTLS = secure
	}
	return o
}

// checkHooked asks for the hook's address where an app relies on it.
func (c *Config) checkHooked() *KeyError {
	for i, app := range c.Apps {
		if (strings.HasSuffix(app.Publish, "hook") || strings.HasSuffix(app.Play, "hook")) && c.Hooks.Authorize == "" {
			return badKey("hooks.authorize", "is missing, apps[%d] (%s) asks the hook", i, app.Name)
		}
	}
	return nil
}

func checkOneOf(key, value string, allowed ...string) *KeyError {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	return badKey(key, "%.40q is not %s or %s", value, strings.Join(allowed[:last], ", "), allowed[last])
}

func checkRange(key string, n, least, most int) *KeyError {
	if n < least || n > most {
		return badKey(key, "%d is not between %d and %d", n, least, most)
	}
	return nil
}

func checkSize(key string, n, least, most Size) *KeyError {
	if n < least || n > most {
		return badKey(key, "%s is not between %s and %s", n, least, most)
	}
	return nil
}

func (c *Config) checkRingMemory() *KeyError {
	if n := c.Relay.RingMemory; n > 0 && n < c.Relay.RingBytes {
		return badKey("relay.ring_memory", "%s is less than relay.ring_bytes (%s), what one stream may take", n, c.Relay.RingBytes)
	}
	return nil
}

func checkAtLeast(key string, d, least time.Duration) *KeyError {
	if d < least {
		return badKey(key, "%s is too short, at least %s", d, least)
	}
	return nil
}

func checkAtMost(key string, d, most time.Duration) *KeyError {
	if d > most {
		return badKey(key, "%s is too long, at most %s", d, most)
	}
	return nil
}

func checkEach(key string, list []string, check func(key, value string) *KeyError) *KeyError {
	for i, value := range list {
		if err := check(fmt.Sprintf("%s[%d]", key, i), value); err != nil {
			return err
		}
	}
	return nil
}

// checkListen takes "", ":1935", "127.0.0.1:0", "[::]:1935".
func checkListen(key, value string) *KeyError {
	if value == "" {
		return nil
	}
	return checkAddress(key, value)
}

func checkAddress(key, value string) *KeyError {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return badKey(key, "%.60q is not an address such as \":1935\" or \"127.0.0.1:1935\"", value)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return badKey(key, "%.60q has no port between 0 and 65535", value)
	}
	return nil
}

// checkHost takes a host name or address; the ports are the listeners'.
func checkHost(key, value string) *KeyError {
	if strings.ContainsAny(value, "/ @?#[]") || strings.Contains(value, ":") && net.ParseIP(value) == nil {
		return badKey(key, "%.60q is not a host name or address (no scheme, port or path)", value)
	}
	return nil
}

func checkURL(key, value string, schemes ...string) *KeyError {
	if value == "" {
		return nil
	}
	if len(schemes) == 0 {
		schemes = []string{"http", "https"}
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return badKey(key, "is not an address that begins with %s://", strings.Join(schemes, ":// or "))
	}
	return nil
}

func checkOrigin(key, value string) *KeyError {
	if _, err := door.ParseOrigins([]string{value}); err != nil {
		return badKey(key, "%v", err)
	}
	return nil
}

func checkPrefix(key, value string) *KeyError {
	if _, err := door.ParseTrusted([]string{value}); err != nil {
		return badKey(key, "%v", err)
	}
	return nil
}
