package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/room"
)

// Check does what a node does with Redis: it finds the server, logs in, writes and
// reads a room by the scripts, hears of it on the bus, reads what is forbidden. It
// returns in words what it has found; an error names the key of the configuration
// that is likely wrong, in one line. The room is gone afterwards.
func (r *Client) Check(ctx context.Context) (string, error) {
	found, err := r.find(ctx)
	if err != nil {
		return "", err
	}
	client := r.conn(ctx)
	if err := client.Ping(ctx).Err(); err != nil {
		return "", r.explain(err)
	}
	if _, cluster := client.(*goredis.ClusterClient); cluster {
		found = "a Cluster"
	}
	if err := r.checkRoom(ctx, scratch(auth.NewID())); err != nil {
		return "", r.explain(err)
	}
	if err := r.checkBans(ctx); err != nil {
		return "", r.explain(err)
	}
	return found, nil
}

// checkRoom takes one room through its life.
func (r *Client) checkRoom(ctx context.Context, key room.Key) error {
	channel := r.channel(key)
	ps := r.conn(ctx).Subscribe(ctx, channel)
	defer ps.Close()
	if _, err := ps.ReceiveTimeout(ctx, feedTime); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	const node, ttl = "check", 10 * time.Second
	c := &room.Commit{
		Incarnation: "check", ID: node + "/1", Seq: 1, Node: node, TTL: ttl,
		Set: map[string]string{metaCheck: "{}"}, Records: [][]byte{[]byte("{}")},
	}
	fence, err := r.Commit(ctx, key, c)
	if err != nil {
		return err
	}
	v, err := r.Read(ctx, key, room.Position{})
	if err != nil {
		return err
	}
	if _, err := r.Renew(ctx, node, ttl, []room.Holding{{Key: key, Fence: fence}}); err != nil {
		return err
	}
	end := &room.Commit{
		At: v.Position, Incarnation: c.Incarnation, ID: node + "/2", Seq: 2, Node: node, Fence: fence, TTL: ttl,
		Drop: true, Delete: []string{metaCheck},
	}
	if _, err := r.Commit(ctx, key, end); err != nil {
		return err
	}
	if err := r.Release(ctx, key, node, fence); err != nil {
		return err
	}
	if _, err := ps.ReceiveTimeout(ctx, feedTime); err != nil {
		return fmt.Errorf("nothing is heard of what is published: %w", err)
	}
	return nil
}

const metaCheck = "check"

// checkBans reads what a node must know before it lets anybody in.
func (r *Client) checkBans(ctx context.Context) error {
	b := &Bans{client: r}
	if _, _, err := b.latest(ctx); err != nil {
		return err
	}
	_, err := r.hash(ctx, b.keys()[0])
	return err
}

// find asks the Sentinels for the master, or the server what it is.
func (r *Client) find(ctx context.Context) (string, error) {
	o := &r.clients.o
	if o.MasterName == "" {
		return "one server", nil
	}
	type answer struct {
		addr string
		err  error
	}
	answers := make(chan answer, len(o.Addrs))
	for _, addr := range o.Addrs {
		go func() {
			sentinel := goredis.NewSentinelClient(&goredis.Options{
				Addr: addr, Username: o.SentinelUsername, Password: o.SentinelPassword, Dialer: r.clients.dial,
				DialTimeout: dialTimeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, ContextTimeoutEnabled: true,
				MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
			})
			defer func() { _ = sentinel.Close() }()
			master, err := sentinel.GetMasterAddrByName(ctx, o.MasterName).Result()
			if err == nil && len(master) != 2 {
				err = goredis.Nil
			}
			if err != nil {
				answers <- answer{err: r.explainSentinel(addr, err)}
				return
			}
			answers <- answer{addr: net.JoinHostPort(master[0], master[1])}
		}()
	}
	master, bad := "", error(nil)
	for range o.Addrs {
		switch a := <-answers; {
		case a.err == nil:
			master = a.addr
		case bad == nil:
			bad = a.err
		}
	}
	if master == "" {
		return "", bad
	}
	return fmt.Sprintf("%s, master of %s", master, o.MasterName), nil
}

// explainSentinel makes one line of what a Sentinel answered.
func (r *Client) explainSentinel(addr string, err error) error {
	switch {
	case errors.Is(err, goredis.Nil):
		return fmt.Errorf("redis.master_name: the Sentinel at %s knows no %.40q", addr, r.clients.o.MasterName)
	case refusesLogin(err):
		return fmt.Errorf("redis.sentinel_password: the Sentinel at %s says %s", addr, oneLine(err))
	case goredis.HasErrorPrefix(err, "unknown command"):
		return fmt.Errorf("redis.addrs: %s is no Sentinel, and redis.master_name is set", addr)
	case goredis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("redis.sentinel_username: the Sentinel at %s says %s", addr, oneLine(err))
	case isTLS(err):
		return fmt.Errorf("redis.sentinel_tls: %s: %s", addr, oneLine(err))
	}
	return fmt.Errorf("redis.addrs: the Sentinel at %s: %s", addr, oneLine(err))
}

// explain makes one line of an error of the client, with the key that it is likely about.
func (r *Client) explain(err error) error {
	o := &r.clients.o
	key := "redis"
	switch text := err.Error(); {
	case strings.HasPrefix(text, "redis."):
		return err // one of ours
	case strings.Contains(text, "cluster has no nodes"):
		return errors.New("redis.addrs: the Cluster serves no slots yet")
	case isTLS(err):
		if key = "redis.tls"; strings.Contains(text, "all sentinels") {
			key = "redis.sentinel_tls"
		}
	case errors.Is(err, io.EOF) && o.TLS == nil:
		return errors.New("redis.tls: is false, and the server hangs up at the first word: perhaps it wants TLS")
	case errors.Is(err, goredis.Nil) && o.MasterName != "":
		return fmt.Errorf("redis.master_name: no Sentinel knows %.40q", o.MasterName)
	case o.MasterName != "" && strings.Contains(text, "all sentinels"):
		if key = "redis.addrs"; refusesLogin(err) {
			key = "redis.sentinel_password"
		}
	case refusesLogin(err):
		key = "redis.password"
	case goredis.HasErrorPrefix(err, "NOPERM"), strings.Contains(text, "user executing the script can't"):
		key = "redis.username"
	case goredis.HasErrorPrefix(err, "DB index"), goredis.HasErrorPrefix(err, "invalid DB index"):
		key = "redis.db"
	case goredis.HasErrorPrefix(err, "READONLY"):
		return errors.New("redis.addrs: this server is a read-only replica: name the master, or Sentinels and redis.master_name")
	case goredis.HasErrorPrefix(err, "MOVED"):
		return errors.New("redis.cluster: is false, and this server belongs to a Cluster")
	case strings.Contains(text, "cluster support disabled"):
		if key = "redis.cluster"; o.Cluster == nil {
			return errors.New("redis.addrs: are several, and no Cluster: name one server, or Sentinels and redis.master_name")
		}
	}
	return fmt.Errorf("%s: %s", key, oneLine(err))
}

// refusesLogin says whether the server wants another user or password.
func refusesLogin(err error) bool {
	return goredis.HasErrorPrefix(err, "WRONGPASS") || goredis.HasErrorPrefix(err, "NOAUTH") || goredis.HasErrorPrefix(err, "invalid password") ||
		strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "NOAUTH")
}

// isTLS says whether both sides do not agree on TLS.
func isTLS(err error) bool {
	var handshake *handshakeError
	return errors.As(err, &handshake)
}

func oneLine(err error) string {
	return strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "redis: ") // as the client begins its own
}
