package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/redis"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/test/wait"
)

// checked does what `liverelay check` and a node's start do.
func checked(t *testing.T, o redis.Options) (string, error) {
	t.Helper()
	r, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
	defer cancel()
	return r.Check(ctx)
}

// users starts a server with an ACL user for each of the situations below.
func users(t *testing.T) *redistest.Server {
	return redistest.Start(t, acl(
		"default on >adminpw ~* &* +@all",
		"relay on >relaypw ~{liverelay* &liverelay:* +@all -@dangerous +info",
		"noscripts on >pw ~* &* +@all -@scripting",
		"nowrites on >pw ~* &* +@all -@write",
		"otherkeys on >pw ~x* &* +@all",
		"deaf on >pw ~* resetchannels +@all",
	)...)
}

// acl are a server's options for users.
func acl(users ...string) (args []string) {
	for _, user := range users {
		args = append(append(args, "--user"), strings.Fields(user)...)
	}
	return args
}

// TestCheckSaysWhatIsWrong: what keeps a node from its work is named before it starts,
// by the key that is wrong.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := users(t)
	plain := redistest.Start(t)
	slotless := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(redistest.FreePort(t)))
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", strconv.Itoa(plain.Port))
	sentinel := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor mm 127.0.0.1 %d 1\n", plain.Port))
	guarded := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor mm 127.0.0.1 %d 1\nrequirepass sentpw\n", plain.Port))
	closed := net.JoinHostPort("127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
	at := func(s *redistest.Server) []string { return []string{s.Addr} }
	as := func(user, password string) redis.Options {
		return redis.Options{Addrs: at(server), Username: user, Password: password}
	}
	yes := true
	for name, tt := range map[string]struct {
		o    redis.Options
		want string // the error's beginning; "": none
	}{
		"all is well":                   {redis.Options{Addrs: at(plain)}, ""},
		"user with just enough":         {as("relay", "relaypw"), ""},
		"Sentinel":                      {redis.Options{Addrs: at(sentinel), MasterName: "mm"}, ""},
		"Sentinel with a password":      {redis.Options{Addrs: at(guarded), MasterName: "mm", SentinelPassword: "sentpw"}, ""},
		"nobody listens":                {redis.Options{Addrs: []string{closed}}, "redis: dial tcp " + closed},
		"no password":                   {as("", ""), "redis.password: NOAUTH"},
		"wrong password":                {as("relay", "x"), "redis.password: WRONGPASS"},
		"no scripts":                    {as("noscripts", "pw"), "redis.username: "},
		"no writes":                     {as("nowrites", "pw"), "redis.username: "},
		"other keys":                    {as("otherkeys", "pw"), "redis.username: "},
		"no channels":                   {as("deaf", "pw"), "redis.username: "},
		"database out of range":         {redis.Options{Addrs: at(plain), DB: 99}, "redis.db: "},
		"replica":                       {redis.Options{Addrs: at(replica)}, "redis.addrs: this server is a read-only replica"},
		"wrong master name":             {redis.Options{Addrs: at(sentinel), MasterName: "nn"}, `redis.master_name: the Sentinel at ` + sentinel.Addr + ` knows no "nn"`},
		"Sentinel without a password":   {redis.Options{Addrs: at(guarded), MasterName: "mm"}, "redis.sentinel_password: "},
		"Sentinel with a wrong one":     {redis.Options{Addrs: at(guarded), MasterName: "mm", SentinelPassword: "x"}, "redis.sentinel_password: "},
		"a Cluster without slots":       {redis.Options{Addrs: at(slotless)}, "redis.addrs: the Cluster serves no slots yet"},
		"Sentinel for a server":         {redis.Options{Addrs: at(sentinel)}, "redis.master_name: is missing: " + sentinel.Addr + " is a Sentinel"},
		"server for a Sentinel":         {redis.Options{Addrs: at(plain), MasterName: "mm"}, "redis.addrs: " + plain.Addr + " is no Sentinel"},
		"servers for a Cluster":         {redis.Options{Addrs: []string{plain.Addr, replica.Addr}}, "redis.addrs: are several, and no Cluster"},
		"a server for a Cluster":        {redis.Options{Addrs: at(plain), Cluster: &yes}, "redis.cluster: "},
		"TLS where there is none":       {redis.Options{Addrs: at(plain), TLS: &tls.Config{}}, "redis.tls: "},
		"TLS at a Sentinel without any": {redis.Options{Addrs: at(sentinel), MasterName: "mm", SentinelTLS: &tls.Config{}}, "redis.sentinel_tls: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := checked(t, tt.o)
			switch {
			case tt.want == "" && (err != nil || found == ""):
				t.Errorf("%q, %v", found, err)
			case tt.want != "" && err == nil:
				t.Errorf("found %s, want %s", found, tt.want)
			case tt.want != "" && !strings.HasPrefix(err.Error(), tt.want):
				t.Errorf("got %v, want %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "\n"):
				t.Errorf("more than a line: %q", err)
			}
		})
	}
	t.Cleanup(func() { // of the checks nothing is left
		one := goredis.NewClient(&goredis.Options{Addr: plain.Addr})
		defer one.Close()
		if n, err := one.DBSize(context.Background()).Result(); err != nil || n != 0 {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}

// TestClusterByOneAddress: a managed Cluster shows one address.
func TestClusterByOneAddress(t *testing.T) {
	t.Parallel()
	masters, _ := redistest.StartCluster(t)
	yes, no := true, false
	for _, m := range masters {
		for name, o := range map[string]redis.Options{
			"auto": {Addrs: []string{m.Addr}},
			"true": {Addrs: []string{m.Addr}, Cluster: &yes},
		} {
			if found, err := checked(t, o); err != nil || found != "a Cluster" {
				t.Errorf("cluster: %s: %q, %v", name, found, err)
			}
		}
	}
	refused := 0
	for range 40 { // by luck, a room may be at home there
		if _, err := checked(t, redis.Options{Addrs: []string{masters[0].Addr}, Cluster: &no}); err != nil {
			if refused++; !strings.HasPrefix(err.Error(), "redis.cluster: is false") {
				t.Fatal(err)
			}
		}
	}
	if refused == 0 {
		t.Error("cluster: false is a Cluster all the same")
	}
	if _, err := checked(t, redis.Options{Addrs: []string{masters[0].Addr}, DB: 1}); err == nil || err.Error() != "redis.db: a Redis Cluster has only database 0" {
		t.Errorf("a database of a Cluster: %v", err)
	}
	// A Cluster that is away when the node starts is known when it is there.
	r, err := redis.New(redis.Options{Addrs: []string{masters[0].Addr}, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := masters[0].Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := r.Ping(ctx); err == nil {
		t.Error("a server that hangs answers")
	}
	if err := masters[0].Resume(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		wait.For(t, "the Cluster is known", func() bool {
			_, err := r.Read(within(t), room.Key{App: "live", Room: fmt.Sprint(i)}, room.Position{})
			return err == nil
		})
	}
}

// certificate makes one for 127.0.0.1, and what trusts it.
func certificate(t *testing.T) (cert, key string, trusts *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// TestSentinelCredentials: Sentinels have users, passwords and TLS of their own.
func TestSentinelCredentials(t *testing.T) {
	t.Parallel()
	cert, key, trusts := certificate(t)
	users := acl("default on >adminpw ~* &* +@all", "relay on >relaypw ~* &* +@all")
	secure := func(port int) []string {
		return []string{"--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no", "--tls-ca-cert-file", cert}
	}
	monitor := func(port int, more ...string) string {
		return fmt.Sprintf("sentinel monitor mm 127.0.0.1 %d 1\nsentinel auth-pass mm adminpw\n%s\n", port, strings.Join(more, "\n"))
	}
	plain := redistest.Start(t, users...)
	port := redistest.FreePort(t)
	redistest.Start(t, append(secure(port), users...)...)
	sentinelPort := redistest.FreePort(t)
	lines := make([]string, 0, 5)
	for args := secure(sentinelPort); len(args) > 0; args = args[2:] {
		lines = append(lines, strings.TrimPrefix(args[0], "--")+" "+args[1])
	}
	for name, tt := range map[string]struct {
		sentinel string // its configuration
		port     int    // 0: the plain one
		o        redis.Options
	}{
		"none":             {monitor(plain.Port), 0, redis.Options{}},
		"a password":       {monitor(plain.Port, "requirepass sentpw"), 0, redis.Options{SentinelPassword: "sentpw"}},
		"a user":           {monitor(plain.Port, "user default off", "user s on >sentpw allchannels +@all"), 0, redis.Options{SentinelUsername: "s", SentinelPassword: "sentpw"}},
		"TLS on data only": {monitor(port, append(lines[1:], "tls-replication yes")...), 0, redis.Options{TLS: trusts}},
		"TLS here only":    {monitor(plain.Port, lines...), sentinelPort, redis.Options{SentinelTLS: trusts}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.StartSentinel(t, tt.sentinel)
			tt.o.Addrs, tt.o.MasterName, tt.o.Username, tt.o.Password = []string{s.Addr}, "mm", "relay", "relaypw"
			if tt.port != 0 {
				tt.o.Addrs = []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(tt.port))}
			}
			if found, err := checked(t, tt.o); err != nil || !strings.HasSuffix(found, "master of mm") {
				t.Errorf("%q, %v", found, err)
			}
		})
	}
}

// TestStateUntilReadOnce: a node is not ready before Redis could be used once, and says
// why; after that, media go on without it.
func TestStateUntilReadOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Down()
	r := newRedis(t, server)
	if ready, why := r.State(); ready || why == "" {
		t.Errorf("before it was asked: %v %q", ready, why)
	}
	bans, bus := r.Bans(), r.Bus()
	defer bans.Close()
	bus.Start(func(room.Key, room.Notice) {})
	defer bus.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Watch(ctx, slog.New(slog.DiscardHandler)) }()
	defer func() { cancel(); <-done }()
	state := func(ready bool, reason string) {
		t.Helper()
		wait.For(t, fmt.Sprint(ready, " ", reason), func() bool {
			is, why := r.State()
			return is == ready && strings.Contains(why, reason) && (why == "") == (reason == "")
		})
	}
	state(false, "connection refused")
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	state(true, "")
	server.Down()
	state(true, "connection refused")
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	state(true, "")
}
