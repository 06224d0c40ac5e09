package redis

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/room"
)

var (
	//go:embed lua/read.lua
	readLua string
	//go:embed lua/commit.lua
	commitLua string
	//go:embed lua/renew.lua
	renewLua string
	//go:embed lua/recall.lua
	recallLua string

	readScript   = goredis.NewScript(readLua)
	commitScript = goredis.NewScript(commitLua)
	renewScript  = goredis.NewScript(renewLua)
	recallScript = goredis.NewScript(recallLua)
)

const (
	redisLog       = 1024     // changes kept per room
	maxNotice      = 64 << 10 // a notice with more is a hint only
	defaultRoomTTL = 5 * time.Minute
	recallFor      = 30 * time.Second // longer than a client waits before it comes again
	recallNotice   = "?"              // no notice of a step: whoever hears it reads the room again
)

// Client is the store of many nodes. All keys of a room have one hash tag, so that
// its scripts run in a Cluster. Needs Redis 6.2, uses nothing newer than 7.0.
type Client struct {
	clients *clients      // static
	prefix  string        // static
	roomTTL time.Duration // static
	health  health
	bans    atomic.Pointer[Bans] // opened last
}

var _ room.Store = (*Client)(nil)

// quiet: every error of the client is also returned to whoever asked.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { goredis.SetLogger(quiet{}) }

// New makes a store. It does not connect: a Redis that is away is an error of
// each operation, until it is there.
func New(o Options) (*Client, error) {
	if len(o.Addrs) == 0 {
		return nil, errors.New("redis.addrs: empty")
	}
	if o.Prefix == "" {
		o.Prefix = "liverelay"
	}
	if key, problem := o.Problem(); key != "" {
		return nil, fmt.Errorf("%s: %s", key, problem)
	}
	if o.RoomTTL <= 0 {
		o.RoomTTL = defaultRoomTTL
	}
	if o.Timeout <= 0 {
		o.Timeout = answerTimeout
	}
	return &Client{clients: newClients(o), prefix: o.Prefix, roomTTL: o.RoomTTL}, nil
}

// Close closes all connections.
func (r *Client) Close() error { return r.clients.close() }

// conn returns the connections to Redis.
func (r *Client) conn(ctx context.Context) goredis.UniversalClient { return r.clients.client(ctx) }

// Ping asks whether Redis answers.
func (r *Client) Ping(ctx context.Context) error { return r.conn(ctx).Ping(ctx).Err() }

// hash reads a hash by pages, for a large one takes longer than one reply may. What comes
// in one page is of one moment. Where a failover came between two, pages may be missing:
// then there is too little, and it is read again.
func (r *Client) hash(ctx context.Context, key string) (map[string]string, error) {
	for range hashAttempts {
		all := map[string]string{}
		least, pages := int64(0), 0
		for cursor := uint64(0); ; {
			page, next, err := r.conn(ctx).HScan(ctx, key, cursor, "", hashPage).Result()
			if err != nil {
				return nil, err
			}
			for i := 0; i+1 < len(page); i += 2 {
				all[page[i]] = page[i+1]
			}
			if pages++; pages == 1 && next == 0 {
				return all, nil
			}
			if pages == 1 || next == 0 {
				n, err := r.conn(ctx).HLen(ctx, key).Result()
				if err != nil {
					return nil, err
				}
				if pages == 1 {
					least = n
				}
				least = min(n, least)
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
		if int64(len(all)) >= least {
			return all, nil
		}
	}
	return nil, fmt.Errorf("%s changed while it was read", key)
}

// keys are a room's three keys, in the order of the scripts' KEYS; keysOf has the one of an
// incarnation behind them.
func (r *Client) keys(key room.Key) []string {
	tag := "{" + r.prefix + ":" + key.App + "/" + key.Room + "}"
	return []string{tag + ":room", tag + ":log", tag + ":lease"}
}

func (r *Client) keysOf(key room.Key, incarnation string) []string {
	return append(r.keys(key), "{"+r.prefix+":"+key.App+"/"+key.Room+"}:ended:"+incarnation)
}

// absentKey is of a room that is not there, see recall.lua.
func (r *Client) absentKey(key room.Key) string { return r.keysOf(key, "")[3] }

func (r *Client) channel(key room.Key) string {
	return r.prefix + ":room:" + key.App + "/" + key.Room
}

// Read implements [room.Store].
func (r *Client) Read(ctx context.Context, key room.Key, at room.Position) (room.View, error) {
	var v room.View
	reply, err := readScript.Run(ctx, r.conn(ctx), r.keysOf(key, at.Incarnation), at.Incarnation, at.Seq, at.Commit).Slice()
	if err != nil {
		return v, fmt.Errorf("read room %s: %w", key, err)
	}
	if len(reply) == 0 {
		v.Now = time.Now().UnixMilli()
		return v, nil
	}
	if len(reply) < 7 || text(reply[0]) == "full" && len(reply) < 8 {
		return v, fmt.Errorf("read room %s: reply of %d parts", key, len(reply))
	}
	switch text(reply[0]) {
	case "full":
		v.Exists, v.Full = true, true
	case "ended full":
		v.Ended, v.Full = true, true
	case "ended":
		v.Ended = true
	default:
		v.Exists = true
	}
	v.Position = room.Position{Incarnation: text(reply[1]), Seq: number(reply[2]), Commit: text(reply[3])}
	v.Now = number(reply[4])
	v.Leases = leases(reply[5])
	log, _ := reply[len(reply)-1].([]any)
	for _, item := range log {
		commit, data, _ := strings.Cut(text(item), " ")
		v.Log = append(v.Log, room.Record{Commit: commit, Data: []byte(data)})
	}
	if !v.Full || v.Ended {
		return v, nil
	}
	rest, _ := reply[6].([]any)
	v.Fields = make(map[string]string, len(rest)/2)
	for i := 0; i+1 < len(rest); i += 2 {
		v.Fields[text(rest[i])] = text(rest[i+1])
	}
	for _, own := range [...]string{"rid", "seq", "cid", "fence"} {
		delete(v.Fields, own)
	}
	return v, nil
}

// Commit implements [room.Store].
func (r *Client) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	flag := ""
	switch {
	case c.Drop:
		flag = "drop"
	case c.Replace:
		flag = "replace"
	}
	last := ""
	if len(c.Records) > 0 {
		last = strconv.FormatInt(c.Last(), 10)
	}
	head, withRecords, err := noticeOf(c)
	if err != nil {
		return 0, err
	}
	args := make([]any, 0, 20+2*len(c.Set)+len(c.Delete)+len(c.Records)+2*len(c.Expired))
	args = append(args, c.At.Incarnation, c.At.Seq, c.At.Commit, c.Incarnation, c.ID, last, flag,
		c.Node, c.Fence, c.LastFence, c.TTL.Milliseconds(), r.roomTTL.Milliseconds(), redisLog, r.channel(key), head, withRecords,
		len(c.Set), len(c.Delete), len(c.Records), len(c.Expired))
	for field, value := range c.Set {
		args = append(args, field, value)
	}
	for _, field := range c.Delete {
		args = append(args, field)
	}
	for _, rec := range c.Records {
		args = append(args, rec)
	}
	for _, e := range c.Expired {
		end := "0"
		if e.End {
			end = "1"
		}
		args = append(args, leaseMember(e.Node, e.Fence), end)
	}
	keys := append(r.keysOf(key, c.At.Incarnation), r.absentKey(key))
	reply, err := commitScript.Run(ctx, r.conn(ctx), keys, args...).StringSlice()
	if err != nil {
		return 0, fmt.Errorf("commit room %s: %w", key, err)
	}
	switch {
	case len(reply) == 2 && reply[0] == "ok":
		return strconv.ParseInt(reply[1], 10, 64)
	case len(reply) == 1 && reply[0] == "conflict":
		return 0, room.ErrConflict
	case len(reply) == 1 && reply[0] == "fenced":
		return 0, room.ErrFenced
	}
	return 0, fmt.Errorf("commit room %s: unknown reply", key)
}

// noticeOf is what other nodes are told of a commit: the head of the notice (empty:
// nothing), and "1" if the records go with it.
func noticeOf(c *room.Commit) (head, withRecords string, err error) {
	if len(c.Records) == 0 && !c.Drop {
		return "", "0", nil
	}
	size := 0
	for _, rec := range c.Records {
		size += len(rec)
	}
	withRecords = "0"
	if size <= maxNotice {
		withRecords = "1"
	}
	b, err := json.Marshal(noticeHead{Incarnation: c.Incarnation, Before: c.At, Seq: c.Seq, Commit: c.ID, Dropped: c.Drop})
	return string(b), withRecords, err
}

// Renew implements [room.Store], with one round trip per server.
func (r *Client) Renew(ctx context.Context, node string, ttl time.Duration, holdings []room.Holding) ([]room.LeaseState, error) {
	standing := make([]room.LeaseState, len(holdings))
	run := func(pipe goredis.Pipeliner, h room.Holding, load bool) *goredis.Cmd {
		args := []any{leaseMember(node, h.Fence), ttl.Milliseconds(), r.roomTTL.Milliseconds()}
		if load {
			return renewScript.Eval(ctx, pipe, r.keys(h.Key), args...)
		}
		return renewScript.EvalSha(ctx, pipe, r.keys(h.Key), args...)
	}
	for _, load := range [...]bool{false, true} {
		cmds := make([]*goredis.Cmd, len(holdings))
		_, err := r.conn(ctx).Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for i, h := range holdings {
				cmds[i] = run(pipe, h, load)
			}
			return nil
		})
		if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") && !load {
			continue // a server has forgotten its scripts: send them along
		}
		if err != nil {
			return nil, fmt.Errorf("renew room leases: %w", err)
		}
		for i, cmd := range cmds {
			reply, err := cmd.Slice()
			if err != nil {
				return nil, fmt.Errorf("renew room leases: %w", err)
			}
			if len(reply) != 6 {
				continue // no such room
			}
			standing[i] = room.LeaseState{
				Position: room.Position{Incarnation: text(reply[0]), Seq: number(reply[1]), Commit: text(reply[2])},
				Exists:   true, Now: number(reply[3]), Held: text(reply[4]) == "1",
			}
			for _, l := range leases(reply[5]) {
				if l.Node != node {
					standing[i].Expired = append(standing[i].Expired, l)
				}
			}
		}
		break
	}
	return standing, nil
}

// Recall implements [room.Store].
func (r *Client) Recall(ctx context.Context, key room.Key) (time.Duration, error) {
	keys := []string{r.keys(key)[0], r.absentKey(key)}
	ms, err := recallScript.Run(ctx, r.conn(ctx), keys, recallFor.Milliseconds(), r.channel(key), recallNotice).Int64()
	if err != nil {
		return 0, fmt.Errorf("recall room %s: %w", key, err)
	}
	if ms < 0 {
		return room.NotLost, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Release implements [room.Store].
func (r *Client) Release(ctx context.Context, key room.Key, node string, fence int64) error {
	return r.conn(ctx).ZRem(ctx, r.keys(key)[2], leaseMember(node, fence)).Err()
}

// leaseMember is a lease's member in the sorted set.
func leaseMember(node string, fence int64) string { return strconv.FormatInt(fence, 10) + "#" + node }

func leases(v any) []room.Lease {
	items, _ := v.([]any)
	var list []room.Lease
	for i := 0; i+1 < len(items); i += 2 {
		fence, node, _ := strings.Cut(text(items[i]), "#")
		n, _ := strconv.ParseInt(fence, 10, 64)
		list = append(list, room.Lease{Node: node, Fence: n, Expires: number(items[i+1])})
	}
	return list
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil {
		return 0
	}
	return int64(f)
}

// noticeHead is the first line of a notice on the bus.
type noticeHead struct {
	Incarnation string        `json:"r"`
	Before      room.Position `json:"b"`
	Seq         int64         `json:"q"`
	Commit      string        `json:"c"`
	Dropped     bool          `json:"d,omitempty"`
}
