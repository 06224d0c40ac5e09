package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // of the user who runs the tests
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, EnvPrefix) {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

const (
	secretA = "0123456789abcdef0123456789abcdef"
	secretB = "fedcba9876543210fedcba9876543210"
)

// writeConfig returns the path of a file that holds the text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigShippedFileIsTheDefaults(t *testing.T) {
	got, err := Load("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	normalise(&got)
	normalise(&want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config.yaml:\n%+v\ndefaults:\n%+v", got, want)
	}
}

// normalise makes nil lists of empty ones.
func normalise(c *Config) {
	if len(c.Apps) == 0 {
		c.Apps = nil
	}
	if len(c.Redis.Addrs) == 0 {
		c.Redis.Addrs = nil
	}
	if len(c.Admin.Tokens) == 0 {
		c.Admin.Tokens = nil
	}
	if len(c.WebRTC.Public) == 0 {
		c.WebRTC.Public = nil
	}
	if len(c.WebRTC.ICEServers) == 0 {
		c.WebRTC.ICEServers = nil
	}
	if len(c.Admin.Hosts) == 0 {
		c.Admin.Hosts = nil
	}
	if len(c.Proxy.Trusted) == 0 {
		c.Proxy.Trusted = nil
	}
}

// The commented-out app in config.yaml must work once the comment marks go and
// a secret is there.
func TestConfigShippedExampleApp(t *testing.T) {
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "\n# apps:\n")
	if !ok {
		t.Fatal("no example of apps in config.yaml")
	}
	example, _, _ = strings.Cut(example, "\n\n")
	example = "apps:\n" + regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(example, "")
	example = strings.Replace(example, `secret: ""`, `secret: "`+secretA+`"`, 1)
	cfg, err := Load(writeConfig(t, example))
	if err != nil {
		t.Fatalf("%v in\n%s", err, example)
	}
	want := DefaultApp()
	want.Name, want.ID, want.Secret = "live", 1, Secret{secretA}
	if !reflect.DeepEqual(cfg.Apps, []App{want}) {
		t.Errorf("apps = %+v, want %+v", cfg.Apps, want)
	}
}

func TestConfigEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range keysOf(reflect.TypeFor[Config](), nil) {
		// A key stands below its section, and the last part is followed by a colon.
		pattern := `(?ms)`
		for _, part := range path {
			pattern += `^[# ]*(- )?` + part + `:.*?`
		}
		if !regexp.MustCompile(pattern).Match(text) {
			t.Errorf("config.yaml does not explain %s", strings.Join(path, "."))
		}
	}
}

func keysOf(t reflect.Type, prefix []string) (keys [][]string) {
	for field := range t.Fields() {
		path := append(append([]string(nil), prefix...), field.Tag.Get("key"))
		switch ft := field.Type; {
		case ft.Kind() == reflect.Struct:
			keys = append(keys, keysOf(ft, path)...)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			keys = append(keys, keysOf(ft.Elem(), path)...)
		default:
			keys = append(keys, path)
		}
	}
	return keys
}

func TestConfigFileAndEnvironment(t *testing.T) {
	path := writeConfig(t, `
node: {id: n1}
rtmp:
  listen: "127.0.0.1:1"
  chunk_size: 4096
http:
relay: {backlog: 1m30s, flush_interval: 0}
redis: {addrs: ["a:1", "b:2"], tls: true}
proxy_protocol: {trusted: 10.0.0.0/8}
apps:
  - {name: live, id: 7, secret: ["`+secretA+`", "`+secretB+`"], play: open, cdn: {flv: "https://cdn.example.com/live"}}
`)
	t.Setenv("LIVERELAY_RTMP_LISTEN", ":2")
	t.Setenv("LIVERELAY_HTTP_LISTEN", "")
	t.Setenv("LIVERELAY_RELAY_IDLE_TIMEOUT", "5s")
	t.Setenv("LIVERELAY_LIMITS_PER_IP", "3")
	// What Kubernetes sets for a service of this name is none of our business.
	t.Setenv("LIVERELAY_SERVICE_HOST", "10.0.0.1")
	t.Setenv("LIVERELAY_PORT_1935_TCP_ADDR", "10.0.0.1")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Node.ID = "n1"
	want.RTMP = RTMP{Listen: ":2", ChunkSize: 4096}
	want.HTTP.Listen = ""
	want.Relay.Backlog, want.Relay.IdleTimeout = 90*time.Second, 5*time.Second
	want.Redis.Addrs, want.Redis.TLS = []string{"a:1", "b:2"}, true
	want.Proxy.Trusted = []string{"10.0.0.0/8"}
	want.Limits.PerIP = 3
	app := DefaultApp()
	app.Name, app.ID, app.Secret, app.Play = "live", 7, Secret{secretA, secretB}, "open"
	app.CDN.FLV = "https://cdn.example.com/live"
	want.Apps = []App{app}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

func TestConfigEveryKeyFromEnvironment(t *testing.T) {
	values := map[string]string{
		"string": "x", "bool": "true", "int": "300", "config.Size": "96MiB", "time.Duration": "900ms", "[]string": `["10.0.0.1", "10.0.0.2"]`,
	}
	special := map[string]string{ // where only some values are right
		"node.advertise": "h", "rtmp.listen": ":1", "rtmp.tls_listen": "", "http.listen": ":1", "http.tls_listen": "",
		"tls.cert": "", "tls.key": "", "admin.listen": ":1", "relay.start": "fast", "redis.addrs": `["h:1"]`, "redis.db": "3", "relay.io_uring": "false", "relay.ring_time": "1m",
		"cluster.listen": "10.0.0.1:7000", "cluster.advertise": "h:7000", "cluster.secret": secretA,
		"redis.sentinel_tls": "true", "redis.cluster": "false", "webrtc.listen": ":1", "webrtc.tcp": "false", "webrtc.ice_servers": `[{"urls":["stun:s"]}]`, "web.call": "false", "web.play": "false",
		"hooks.authorize": "http://h/", "hooks.events": "http://h/", "hooks.on_failure": "allow", "hooks.usage_interval": "9s", "admin.tokens": `[{"token":"t","role":"viewer"}]`, "log.level": "warn", "log.format": "json",
		"apps": `[{"name":"live","id":1,"secret":"` + secretA + `"}]`, "apps.yaml": "- name: live\n  id: 1\n  secret: " + secretA,
	}
	leaves := map[string]reflect.Value{}
	defaults := Default()
	collect(reflect.ValueOf(&defaults).Elem(), "", leaves)
	for key, leaf := range leaves {
		t.Run(key, func(t *testing.T) {
			value, ok := special[key]
			if !ok {
				value = values[leaf.Type().String()]
			}
			switch key { // these need each other
			case "cluster.listen":
				t.Setenv("LIVERELAY_CLUSTER_SECRET", secretA)
				t.Setenv("LIVERELAY_REDIS_ADDRS", "h:1")
			case "redis.sentinel_username", "redis.sentinel_password", "redis.sentinel_tls":
				t.Setenv("LIVERELAY_REDIS_MASTER_NAME", "m")
				fallthrough
			case "redis.master_name":
				t.Setenv("LIVERELAY_REDIS_ADDRS", "h:1")
			}
			t.Setenv(envName(key), value)
			cfg, err := Load("")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]reflect.Value{}
			collect(reflect.ValueOf(&cfg).Elem(), "", got)
			if value != "" && reflect.DeepEqual(got[key].Interface(), leaf.Interface()) {
				t.Errorf("%s=%s left %v", envName(key), value, leaf)
			}
		})
	}
	t.Setenv("LIVERELAY_APPS", special["apps.yaml"])
	if cfg, err := Load(""); err != nil || len(cfg.Apps) != 1 || cfg.Apps[0].Secret[0] != secretA {
		t.Errorf("apps as YAML: %+v, %v", cfg.Apps, err)
	}
	t.Setenv("LIVERELAY_REDIS_ADDRS", "a:1, b:2")
	if cfg, err := Load(""); err != nil || len(cfg.Redis.Addrs) != 2 {
		t.Errorf("list with commas: %v, %v", cfg.Redis.Addrs, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	app := func(more string) string {
		return `apps: [{name: live, id: 1, secret: "` + secretA + `"` + more + `}]`
	}
	tests := []struct {
		yaml string
		want string // FILE stands for the path
	}{
		{`rtmp: {lisen: ":1"}`, `rtmp.lisen: unknown key; did you mean rtmp.listen? (from FILE)`},
		{`rmtp: {listen: ":1"}`, `rmtp.listen: unknown key; did you mean rtmp.listen? (from FILE)`},
		{`colour: blue`, `colour: unknown key (from FILE)`},
		{`rtmp: 5`, `rtmp: is a section: write its keys below it (from FILE)`},
		{`rmtp: {}`, `rmtp: unknown key; did you mean rtmp? (from FILE)`},
		{`rmtp: null`, `rmtp: unknown key; did you mean rtmp? (from FILE)`},
		{`rtmp: {lisen: {}}`, `rtmp.lisen: unknown key; did you mean rtmp.listen? (from FILE)`},
		{`rtmp: {listen: {port: 1}}`, `rtmp.listen.port: unknown key (from FILE)`},
		{`rtmp: {listen: 1935}`, `rtmp.listen: is not text: put it in quotes (from FILE)`},
		{`rtmp: {listen: "1935"}`, `rtmp.listen: "1935" is not an address such as ":1935" or "127.0.0.1:1935" (from FILE)`},
		{`rtmp: {listen: ":70000"}`, `rtmp.listen: ":70000" has no port between 0 and 65535 (from FILE)`},
		{`rtmp: {tls_listen: ":1936"}`, `tls.cert: is missing, rtmp.tls_listen needs it`},
		{`rtmp: {chunk_size: 64}`, `rtmp.chunk_size: 64 is not between 128 and 16777215 (from FILE)`},
		{`rtmp: {chunk_size: big}`, `rtmp.chunk_size: "big" is not a whole number (from FILE)`},
		{`rtmp: {chunk_size: 1.5}`, `rtmp.chunk_size: 1.5 is not a whole number (from FILE)`},
		{`http: {listen: "localhost"}`, `http.listen: "localhost" is not an address such as ":1935" or "127.0.0.1:1935" (from FILE)`},
		{`tls: {cert: a.pem}`, `tls.key: is missing, tls.cert is set`},
		{`tls: {key: a.pem}`, `tls.cert: is missing, tls.key is set`},
		{`tls: {cert: /nowhere/a, key: /nowhere/b}`, `tls.cert: open /nowhere/a: no such file or directory (from FILE)`},
		{`node: {advertise: "http://h"}`, `node.advertise: "http://h" is not a host name or address (no scheme, port or path) (from FILE)`},
		{`node: {drain_timeout: -1s}`, `node.drain_timeout: -1s is negative (from FILE)`},
		{`relay: {start: later}`, `relay.start: "later" is not gop, fast or live (from FILE)`},
		{`relay: {backlog: 2}`, `relay.backlog: 2 is not a duration such as 500ms, 2s or 1m30s (from FILE)`},
		{`relay: {resume_window: 9999999h}`, `relay.resume_window: "9999999h" is out of range: at most 2562047h0m0s (from FILE)`},
		{`relay: {backlog: 1h9999999999h}`, `relay.backlog: "1h9999999999h" is out of range: at most 2562047h0m0s (from FILE)`},
		{`relay: {backlog: soon}`, `relay.backlog: "soon" is not a duration such as 500ms, 2s or 1m30s (from FILE)`},
		{`relay: {backlog: 1ms}`, `relay.backlog: 1ms is too short, at least 100ms (from FILE)`},
		{`relay: {flush_interval: 5s}`, `relay.flush_interval: 5s is too long, at most 1s (from FILE)`},
		{`relay: {backlog: [2s]}`, `relay.backlog: what stands here is not a duration such as 500ms, 2s or 1m30s (from FILE)`},
		{`relay: {ring_time: 10ms}`, `relay.ring_time: 10ms is too short, at least 1s (from FILE)`},
		{`relay: {ring_bytes: 64MB}`, `relay.ring_bytes: "64MB" is not a size such as 512KiB, 64MiB or 2GiB (from FILE)`},
		{`relay: {ring_bytes: 9GiB}`, `relay.ring_bytes: 9GiB is not between 1MiB and 1GiB (from FILE)`},
		{`relay: {ring_bytes: 100}`, `relay.ring_bytes: 100 is not between 1MiB and 1GiB (from FILE)`},
		{`relay: {ring_memory: 99999999999GiB}`, `relay.ring_memory: "99999999999GiB" is negative or too large (from FILE)`},
		{`relay: {ring_memory: 32MiB}`, `relay.ring_memory: 32MiB is less than relay.ring_bytes (64MiB), what one stream may take (from FILE)`},
		{`relay: {ring_messages: 1}`, `relay.ring_messages: 1 is not between 256 and 1048576 (from FILE)`},
		{`room: {max_members: -1}`, `room.max_members: -1 is not between 0 and 2147483647 (from FILE)`},
		{`redis: {addrs: [h]}`, `redis.addrs[0]: "h" is not an address such as ":1935" or "127.0.0.1:1935" (from FILE)`},
		{`redis: {addrs: {a: b}}`, `redis.addrs.a: unknown key; did you mean redis.addrs? (from FILE)`},
		{`redis: {master_name: m}`, `redis.addrs: is missing, redis.master_name is set`},
		{`redis: {cluster: maybe}`, `redis.cluster: "maybe" is not auto, true or false (from FILE)`},
		{`redis: {cluster: true}`, `redis.addrs: is missing, redis.cluster is true`},
		{`redis: {cluster: true, db: 1, addrs: ["h:1"]}`, `redis.db: a Redis Cluster has only database 0 (from FILE)`},
		{`redis: {db: 1, addrs: ["h:1", "h:2"]}`, `redis.db: a Redis Cluster has only database 0 (from FILE)`},
		{`redis: {cluster: true, master_name: m, addrs: ["h:1"]}`, `redis.cluster: is true, and redis.master_name is set: Sentinels know no Cluster (from FILE)`},
		{`redis: {cluster: false, addrs: ["h:1", "h:2"]}`, `redis.cluster: is false, and there are several redis.addrs without a redis.master_name (from FILE)`},
		{`redis: {sentinel_password: x, addrs: ["h:1"]}`, `redis.master_name: is missing, a user or password of Sentinels is set`},
		{`redis: {sentinel_tls: true, addrs: ["h:1"]}`, `redis.master_name: is missing, redis.sentinel_tls is set`},
		{`node: {id: "edge 1"}`, `node.id: "edge 1" is not 1 to 256 letters, digits, '-', '_' or '.' (from FILE)`},
		{`node: {id: "a/b"}`, `node.id: "a/b" is not 1 to 256 letters, digits, '-', '_' or '.' (from FILE)`},
		{`redis: {password: 1234}`, `redis.password: is not text: put it in quotes (from FILE)`},
		{`redis: {tls: maybe}`, `redis.tls: "maybe" is not true or false (from FILE)`},
		{`redis: {prefix: ""}`, `redis.prefix: is empty (from FILE)`},
		{`redis: {prefix: "{a}"}`, `redis.prefix: "{a}" holds braces or spaces (from FILE)`},
		{`hooks: {authorize: "file:///x"}`, `hooks.authorize: is not an address that begins with http:// or https:// (from FILE)`},
		{`hooks: {on_failure: shrug}`, `hooks.on_failure: "shrug" is not deny or allow (from FILE)`},
		{app(`, play: hook`), `hooks.authorize: is missing, apps[0] (live) asks the hook`},
		{`proxy_protocol: {trusted: [lb]}`, `proxy_protocol.trusted[0]: "lb" is not an address or network such as 10.0.0.0/8 (from FILE)`},
		{`log: {level: loud}`, `log.level: "loud" is not debug, info, warn or error (from FILE)`},
		{`admin: {tokens: x}`, `admin.tokens: is not a list of tokens: - {name: …, token: …, role: …} (from FILE)`},
		{`admin: {tokens: [x]}`, `admin.tokens[0]: is not a mapping: {name: …, token: …, role: …} (from FILE)`},
		{`admin: {tokens: [{role: viewer}]}`, `admin.tokens[0].token: is missing (from FILE)`},
		{`admin: {tokens: [{token: planted, role: root}]}`, `admin.tokens[0].role: "root" is not viewer, operator or admin (from FILE)`},
		{`admin: {tokens: [{token: planted, role: admin}, {token: planted, role: admin}]}`, `admin.tokens[1].token: is another one's, too (from FILE)`},
		{`admin: {tokens: [{token: planted, role: admin, apps: [nope]}]}`, `admin.tokens[0].apps: "nope" is not an app (from FILE)`},
		{`admin: {hosts: ["https://x"]}`, `admin.hosts[0]: "https://x" is not a host name or address (no scheme, port or path) (from FILE)`},
		{`apps: live`, `apps: is not a list of apps: - {name: …, id: …, secret: …} (from FILE)`},
		{`apps: [live]`, `apps[0]: is not a mapping: {name: …, id: …, secret: …} (from FILE)`},
		{app(`, secrets: x`), `apps[0].secrets: unknown key; did you mean secret? (from FILE)`},
		{app(`, play: all`), `apps[0].play: "all" is not token, open, hook or token+hook (from FILE)`},
		{app(`, takeover: me`), `apps[0].takeover: "me" is not same-user, any or none (from FILE)`},
		{app(`, origins: [example.com]`), `apps[0].origins[0]: "example.com" is not "*" or an origin such as "https://example.com" (from FILE)`},
		{app(`, filler: /nowhere/x.flv`), `apps[0].filler: open /nowhere/x.flv: no such file or directory (from FILE)`},
		{app(`, filler: config_test.go`), `apps[0].filler: config_test.go: no FLV file header: starts with 70 61 63 (from FILE)`},
		{app(`, filler: /dev/zero`), `apps[0].filler: /dev/zero: not a file (from FILE)`},
		{app(`, cdn: {hls: x}`), `apps[0].cdn.hls: unknown key (from FILE)`},
		{app(`, cdn: {rtmp: "http://x"}`), `apps[0].cdn.rtmp: is not an address that begins with rtmp:// or rtmps:// (from FILE)`},
		{`apps: [{id: 1, secret: x}]`, `apps[0].name: is missing (from FILE)`},
		{`apps: [{name: "a/b", id: 1, secret: x}]`, `apps[0].name: "a/b" is not 1 to 256 letters, digits, '-', '_' or '.' (from FILE)`},
		{`apps: [{name: api, id: 1, secret: x}]`, `apps[0].name: api is a path of the server's own (from FILE)`},
		{`apps: [{name: live, secret: x}]`, `apps[0].id: is missing: a number from 1, for the client SDK (from FILE)`},
		{`apps: [{name: live, id: 4294967296, secret: x}]`, `apps[0].id: 4294967296 is not between 0 and 4294967295 (from FILE)`},
		{`apps: [{name: live, id: 1}]`, `apps[0].secret: is missing: 32 characters, for example from: openssl rand -hex 16 (from FILE)`},
		{`apps: [{name: live, id: 1, secret: hushhush}]`, `apps[0].secret: has 8 characters and needs 32, for example from: openssl rand -hex 16 (from FILE)`},
		{`apps: [{name: live, id: 1, secret: 01234567890123456789012345678901}]`, `apps[0].secret: is not text: put it in quotes (from FILE)`},
		{`apps: [{name: live, id: 1, secret: ["` + secretA + `", hushhush]}]`, `apps[0].secret[1]: has 8 characters and needs 32, for example from: openssl rand -hex 16 (from FILE)`},
		{`apps: [{name: a, id: 1, secret: "` + secretA + `"}, {name: a, id: 2, secret: "` + secretA + `"}]`, `apps[1].name: a is there twice (from FILE)`},
		{`apps: [{name: a, id: 1, secret: "` + secretA + `"}, {name: b, id: 1, secret: "` + secretA + `"}]`, `apps[1].id: 1 is there twice (from FILE)`},
		{`cluster: {listen: ":7000"}`, `redis.addrs: is missing, cluster.listen needs it: nodes find each other there`},
		{`{cluster: {listen: ":7000"}, redis: {addrs: ["h:1"]}}`, `cluster.secret: is missing, cluster.listen needs it, for example from: openssl rand -hex 16`},
		{`cluster: {secret: [hushhush]}`, `cluster.secret[0]: has 8 characters and needs 16, for example from: openssl rand -hex 16 (from FILE)`},
		{`{cluster: {listen: ":7000", secret: "` + secretA + `"}, redis: {addrs: ["h:1"]}}`, `cluster.advertise: is missing: the HOST:PORT by which other nodes reach cluster.listen (:7000)`},
		{`webrtc: {listen: "8000"}`, `webrtc.listen: "8000" is not an address such as ":1935" or "127.0.0.1:1935" (from FILE)`},
		{`webrtc: {public: ["203.0.113.7:8000"]}`, `webrtc.public[0]: "203.0.113.7:8000" is not a host name or address (no scheme, port or path) (from FILE)`},
		{`webrtc: {ice_servers: [{username: u}]}`, `webrtc.ice_servers[0].urls: is missing: addresses such as stun:stun.example.com or turn:turn.example.com:3478 (from FILE)`},
		{`webrtc: {ice_servers: [{urls: ["http://s"]}]}`, `webrtc.ice_servers[0].urls[0]: "http://s" is not an address such as stun:stun.example.com or turn:turn.example.com:3478 (from FILE)`},
		{`webrtc: {ice_servers: [{urls: ["turn:s"], username: u}]}`, `webrtc.ice_servers[0].secret: is missing, or username and credential: TURN needs one or the other (from FILE)`},
		{`webrtc: {ice_servers: [{urls: ["turn:s"], secret: s, credential: c}]}`, `webrtc.ice_servers[0].credential: is set, and secret makes others (from FILE)`},
		{`webrtc: {ice_servers: [{urls: ["turn:s"], secret: s, ttl: 1s}]}`, `webrtc.ice_servers[0].ttl: 1s is too short, at least 1m (from FILE)`},
		{`cluster: {zone: "a b"}`, `cluster.zone: "a b" is not 1 to 256 letters, digits, '-', '_' or '.' (from FILE)`},
		{"rtmp:\n\tlisten: x", `config file FILE: yaml: line 2: found character that cannot start any token`},
		{"rtmp: {listen: \":1\"}\nrtmp: {listen: \":2\"}", `config file FILE: yaml: unmarshal errors: line 2: mapping key "rtmp" already defined at line 1`},
		{"- a", `config file FILE: yaml: unmarshal errors: line 1: cannot unmarshal !!seq into map[string]interface {}`},
	}
	for _, tt := range tests {
		path := writeConfig(t, tt.yaml)
		_, err := Load(path)
		if err == nil {
			t.Errorf("%s: accepted", tt.yaml)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), path, "FILE"); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.yaml, got, tt.want)
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "1234567") {
			t.Errorf("%s: more than a line, or a secret in it: %v", tt.yaml, err)
		}
	}
}

// What a container platform sets for a service of our name is none of our business; it
// is known by the form of its value, for the name alone could be a user's mistake.
func TestConfigForeignEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"LIVERELAY_SERVICE_HOST":                "10.0.0.1",
		"LIVERELAY_SERVICE_PORT":                "1935",
		"LIVERELAY_SERVICE_PORT_RTMP":           "1935",
		"LIVERELAY_PORT":                        "tcp://10.0.0.1:1935",
		"LIVERELAY_PORT_1935_TCP":               "tcp://[fd00::1]:1935",
		"LIVERELAY_PORT_1935_TCP_PROTO":         "tcp",
		"LIVERELAY_PORT_1935_TCP_PORT":          "1935",
		"LIVERELAY_PORT_1935_TCP_ADDR":          "10.0.0.1",
		"LIVERELAY_RTMP_PORT":                   "tcp://10.0.0.1:1935", // the service is called liverelay-rtmp
		"LIVERELAY_RTMP_SERVICE_HOST":           "fd00::1",
		"LIVERELAY_ADMIN_SERVICE_PORT_RELAY_UI": "8081",
		"LIVERELAY_NAME":                        "/web/liverelay",
	} {
		t.Setenv(name, value)
	}
	if _, err := Load(""); err != nil {
		t.Error(err)
	}
}

// An empty variable is what a compose file makes of one that is not set: it does not
// take away what the file says.
func TestConfigEmptyListInEnvironment(t *testing.T) {
	path := writeConfig(t, `{apps: [{name: live, id: 1, secret: "`+secretA+`"}], redis: {addrs: ["h:1"]}}`)
	for name, key := range map[string]string{"LIVERELAY_APPS": "apps", "LIVERELAY_REDIS_ADDRS": "redis.addrs"} {
		t.Run(name, func(t *testing.T) {
			for _, empty := range []string{"", "  "} {
				t.Setenv(name, empty)
				want := key + ": is empty, and the file has some: remove the variable, or write [] for none (from " + name + ")"
				if _, err := Load(path); err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				if cfg, err := Load(""); err != nil || len(cfg.Apps)+len(cfg.Redis.Addrs) != 0 {
					t.Errorf("without a file: %v", err)
				}
			}
			t.Setenv(name, "[]")
			cfg, err := Load(path)
			if err != nil || len(cfg.Apps)+len(cfg.Redis.Addrs) != 1 {
				t.Errorf("none: %v %+v", err, cfg)
			}
		})
	}
}

func TestConfigEnvironmentMistakes(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"LIVERELAY_RTMP_LISTN", ":1", `LIVERELAY_RTMP_LISTN: unknown key; did you mean LIVERELAY_RTMP_LISTEN?`},
		{"LIVERELAY_FOO", "x", `LIVERELAY_FOO: unknown key`}, // as far from all as it is long, but for the prefix
		{"LIVERELAY_RTMP_PORT", "1936", `LIVERELAY_RTMP_PORT: unknown key`},
		{"LIVERELAY_REDIS_USER_NAME", "relay", `LIVERELAY_REDIS_USER_NAME: unknown key; did you mean LIVERELAY_REDIS_USERNAME?`},
		{"LIVERELAY_APPS_0_NAME", "live", `LIVERELAY_APPS_0_NAME: unknown key: all apps are in LIVERELAY_APPS, as JSON or YAML`},
		{"LIVERELAY_ENV_TOKEN", "x", `LIVERELAY_ENV_TOKEN: unknown key`},
		{"LIVERELAY_SERVICE_HOST", "example", `LIVERELAY_SERVICE_HOST: unknown key`},
		{"LIVERELAY_SERVICE_PORT", "tcp", `LIVERELAY_SERVICE_PORT: unknown key`},
		{"LIVERELAY_PORT_1935_TCP_PORT", "http://h", `LIVERELAY_PORT_1935_TCP_PORT: unknown key`},
		{"LIVERELAY_NAME", "edge1", `LIVERELAY_NAME: unknown key`},
		{"liverelay_rtmp_listen", ":1", `liverelay_rtmp_listen: unknown key; did you mean LIVERELAY_RTMP_LISTEN?`},
		{"LIVERELAY_WHATEVER", "x", `LIVERELAY_WHATEVER: unknown key`},
		{"LIVERELAY_RELAY_BACKLOG", "2", `relay.backlog: "2" is not a duration such as 500ms, 2s or 1m30s (from LIVERELAY_RELAY_BACKLOG)`},
		{"LIVERELAY_LIMITS_PER_IP", "few", `limits.per_ip: "few" is not a whole number (from LIVERELAY_LIMITS_PER_IP)`},
		{"LIVERELAY_REDIS_DB", "", `redis.db: "" is not a whole number (from LIVERELAY_REDIS_DB)`},
		{"LIVERELAY_APPS", "live", `apps: is not a list of apps: - {name: …, id: …, secret: …} (from LIVERELAY_APPS)`},
		{"LIVERELAY_APPS", "[{", `apps: is not a list in JSON or YAML (from LIVERELAY_APPS)`},
		{"LIVERELAY_APPS", `[{"name":"live","id":1,"secret":"hush"}]`, `apps[0].secret: has 4 characters and needs 32, for example from: openssl rand -hex 16 (from LIVERELAY_APPS)`},
		{"LIVERELAY_CONFIG", "/nowhere/c.yaml", `config file /nowhere/c.yaml: no such file or directory`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.name, tt.value)
			_, err := Load("")
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s=%s\n got %v\nwant %s", tt.name, tt.value, err, tt.want)
			}
		})
	}
}
