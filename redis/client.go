package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	answerTimeout  = 500 * time.Millisecond // for one reply: a server that hangs is left soon
	dialTimeout    = 3 * time.Second        // asks a Sentinel that may hang, then the others, then connects: several answerTimeouts
	clusterReload  = time.Second            // how old the map of a Cluster may be: a dead master is found by it
	askTimeout     = 2 * time.Second        // for asking a server what it is
	askPause       = 250 * time.Millisecond // … before it is asked again
	hashPage       = 1000                   // fields that are read at a time
	hashAttempts   = 5
	clusterHops    = 3 // redirections and repetitions of one command
	minRetryPause  = 20 * time.Millisecond
	maxRetryPause  = 100 * time.Millisecond
	keepAlive      = 15 * time.Second
	sentinelServer = "sentinel"
	clusterServer  = "cluster"
)

// Options say which Redis: one server, a Sentinel group (a master name and the
// Sentinels' addresses), or a Cluster (some of its addresses; one will do).
type Options struct {
	Addrs            []string
	MasterName       string
	Username         string // at the servers that hold data
	Password         string
	SentinelUsername string // at the Sentinels
	SentinelPassword string
	Cluster          *bool       // whether it is a Cluster; nil: several addresses are one, a single one is asked
	DB               int         // not in a Cluster
	TLS              *tls.Config // to the servers that hold data; nil: plain
	SentinelTLS      *tls.Config // to the Sentinels; nil: plain
	Prefix           string      // of all keys [liverelay]

	RoomTTL time.Duration // how long a room is kept that no node renews [5 min]
	Timeout time.Duration // for one reply [500 ms]
}

// Problem returns what cannot be, as the key of the configuration and what is wrong
// with it; "" and "": nothing.
func (o *Options) Problem() (key, problem string) {
	cluster := o.Cluster != nil && *o.Cluster
	switch {
	case len(o.Addrs) == 0 && o.MasterName != "":
		return "redis.addrs", "is missing, redis.master_name is set"
	case cluster && len(o.Addrs) == 0:
		return "redis.addrs", "is missing, redis.cluster is true"
	case cluster && o.MasterName != "":
		return "redis.cluster", "is true, and redis.master_name is set: Sentinels know no Cluster"
	case o.MasterName == "" && o.SentinelUsername+o.SentinelPassword != "":
		return "redis.master_name", "is missing, a user or password of Sentinels is set"
	case o.DB > 0 && (cluster || o.Cluster == nil && o.MasterName == "" && len(o.Addrs) > 1):
		return "redis.db", errClusterDB
	case o.Cluster != nil && !cluster && o.MasterName == "" && len(o.Addrs) > 1:
		return "redis.cluster", "is false, and there are several redis.addrs without a redis.master_name"
	case o.Prefix == "":
		return "redis.prefix", "is empty"
	case strings.ContainsAny(o.Prefix, "{} \t\r\n"):
		return "redis.prefix", fmt.Sprintf("%.40q holds braces or spaces", o.Prefix)
	}
	return "", ""
}

const errClusterDB = "a Redis Cluster has only database 0"

// clients hold the connections to one Redis, of whatever kind it is.
type clients struct {
	o     Options                 // static
	plain *goredis.Client         // to the single address; nil: it was clear from the start what it is
	asked chan struct{}           // static: one asks at a time
	time  *timer                  // static
	known chan struct{}           // closed: client is set
	one   goredis.UniversalClient // set once, before known is closed

	// guarded by mu
	mu     sync.Mutex
	after  time.Time // not to be asked before
	all    []goredis.UniversalClient
	closed bool
}

func newClients(o Options) *clients {
	c := &clients{o: o, asked: make(chan struct{}, 1), known: make(chan struct{}), time: &timer{}}
	switch {
	case o.MasterName != "":
		c.settle(c.failover())
	case o.Cluster != nil && *o.Cluster, len(o.Addrs) > 1:
		c.settle(c.cluster())
	case o.Cluster != nil:
		c.settle(c.single(o.DB))
	default:
		c.plain = c.single(o.DB)
		c.plain.AddHook(c.time)
		c.all = append(c.all, c.plain)
	}
	return c
}

// settle says what it is, for good.
func (c *clients) settle(client goredis.UniversalClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.one = client
	if client != goredis.UniversalClient(c.plain) { // which has it
		client.AddHook(c.time)
	}
	close(c.known)
	if c.closed {
		_ = client.Close() // nobody will
		return
	}
	c.all = append(c.all, client)
}

// client returns the connections to use. Where nobody knows yet what the server at the
// single address is, it asks, for as long as ctx and askTimeout allow; a server that
// does not answer gets the command as if it was alone, and answers that no better.
func (c *clients) client(ctx context.Context) goredis.UniversalClient {
	for {
		select {
		case <-c.known:
			return c.one
		default:
		}
		select {
		case <-c.known:
			return c.one
		case <-ctx.Done():
			return c.plain
		case c.asked <- struct{}{}:
		}
		again := c.ask()
		<-c.asked
		if !again {
			return c.plain
		}
	}
}

// ask finds out what the server at the single address is; false: not now. The caller is alone.
func (c *clients) ask() bool {
	c.mu.Lock()
	early := time.Now().Before(c.after)
	c.mu.Unlock()
	select {
	case <-c.known:
		return true
	default:
	}
	if early {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	kind, err := c.kind(ctx)
	if err != nil {
		c.mu.Lock()
		c.after = time.Now().Add(askPause)
		c.mu.Unlock()
		return false
	}
	switch {
	case kind == sentinelServer:
		c.settle(c.refusing(fmt.Errorf("redis.master_name: is missing: %s is a Sentinel", c.o.Addrs[0])))
	case kind == clusterServer && c.o.DB > 0:
		c.settle(c.refusing(errors.New("redis.db: " + errClusterDB)))
	case kind == clusterServer:
		c.settle(c.cluster())
	default:
		c.settle(c.plain)
	}
	return true
}

// kind asks the server at the single address what it is: standalone, cluster or
// sentinel. HELLO (Redis 6) is what every user may send, whatever his rights.
func (c *clients) kind(ctx context.Context) (string, error) {
	client := c.single(0) // in a Cluster, another database would be refused
	defer func() { _ = client.Close() }()
	reply, err := client.Do(ctx, "hello").Result()
	if goredis.HasErrorPrefix(err, "unknown command") {
		return "standalone", nil // a proxy
	}
	if err != nil {
		return "", err
	}
	switch reply := reply.(type) {
	case map[any]any: // RESP3
		return text(reply["mode"]), nil
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			if text(reply[i]) == "mode" {
				return text(reply[i+1]), nil
			}
		}
	}
	return "standalone", nil
}

func (c *clients) single(db int) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: c.o.Addrs[0], Username: c.o.Username, Password: c.o.Password, DB: db, Dialer: c.dial,
		DialTimeout: dialTimeout, ReadTimeout: c.o.Timeout, WriteTimeout: c.o.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: 1, MinRetryBackoff: minRetryPause, MaxRetryBackoff: maxRetryPause,
		PipelinePoolSize: -1, DisableIdentity: true,
	})
}

func (c *clients) cluster() goredis.UniversalClient {
	return goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: c.o.Addrs, Username: c.o.Username, Password: c.o.Password, Dialer: c.dial,
		DialTimeout: dialTimeout, ReadTimeout: c.o.Timeout, WriteTimeout: c.o.Timeout,
		ContextTimeoutEnabled: true, MaxRedirects: clusterHops, MinRetryBackoff: minRetryPause, MaxRetryBackoff: maxRetryPause,
		PipelinePoolSize: -1, DisableIdentity: true, ClusterStateReloadInterval: clusterReload,
	})
}

// failover: the client asks a Sentinel for the master whenever it connects.
func (c *clients) failover() goredis.UniversalClient {
	return goredis.NewFailoverClient(&goredis.FailoverOptions{
		SentinelAddrs: slices.Clone(c.o.Addrs), MasterName: c.o.MasterName, DB: c.o.DB,
		Username: c.o.Username, Password: c.o.Password,
		SentinelUsername: c.o.SentinelUsername, SentinelPassword: c.o.SentinelPassword,
		Dialer:      c.dial,
		DialTimeout: dialTimeout, ReadTimeout: c.o.Timeout, WriteTimeout: c.o.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: 1, MinRetryBackoff: minRetryPause, MaxRetryBackoff: maxRetryPause,
		PipelinePoolSize: -1, DisableIdentity: true, // one pool: what is warm serves all, should the Sentinels be away
	})
}

// dial connects to a Sentinel or to a server with data, as either wants it.
func (c *clients) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	secure := c.o.TLS
	if c.o.MasterName != "" && slices.Contains(c.o.Addrs, addr) {
		secure = c.o.SentinelTLS
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil || secure == nil {
		return conn, err
	}
	if secure.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		secure = secure.Clone()
		secure.ServerName = host
	}
	client := tls.Client(conn, secure)
	ctx, cancel := context.WithTimeout(ctx, 2*c.o.Timeout) // one that speaks no TLS may not answer at all
	defer cancel()
	if err := client.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{addr, err}
	}
	return client, nil
}

// handshakeError: the server and we do not agree on TLS.
type handshakeError struct {
	addr string
	err  error
}

// Error is one line.
func (e *handshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with %s: %v", e.addr, e.err)
}

// Unwrap returns the cause.
func (e *handshakeError) Unwrap() error { return e.err }

// refusing is a client of a Redis that can never be used so: every command fails with err.
func (c *clients) refusing(err error) goredis.UniversalClient {
	return goredis.NewClient(&goredis.Options{
		Addr: c.o.Addrs[0], MaxRetries: -1, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, err },
	})
}

func (c *clients) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for i, client := range c.all {
		if !slices.Contains(c.all[:i], client) { // plain, perhaps, which was right
			errs = append(errs, client.Close())
		}
	}
	return errors.Join(errs...)
}
