package redis

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/cluster"
	"liverelay/relay"
)

var (
	//go:embed lua/origin.lua
	originLua string
	//go:embed lua/origindrop.lua
	originDropLua string
	//go:embed lua/node.lua
	nodeLua string

	originScript     = goredis.NewScript(originLua)
	originDropScript = goredis.NewScript(originDropLua)
	nodeScript       = goredis.NewScript(nodeLua)
)

// Directory is the nodes and their streams, as all nodes see them.
type Directory struct{ client *Client }

var _ cluster.Directory = Directory{}

// Directory returns the directory in this Redis.
func (r *Client) Directory() Directory { return Directory{r} }

func (d Directory) originKey(n relay.Name) []string {
	return []string{"{" + d.client.prefix + ":" + n.String() + "}:origin"}
}

func (d Directory) nodesKey() []string { return []string{"{" + d.client.prefix + ":nodes}"} }

// Register implements [cluster.Directory].
func (d Directory) Register(ctx context.Context, n cluster.Info, ttl time.Duration) ([]cluster.Info, error) {
	record, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	records, err := nodeScript.Run(ctx, d.client.conn(ctx), d.nodesKey(), n.ID, n.Boot, n.Address, record, ttl.Milliseconds()).StringSlice()
	if errors.Is(err, goredis.Nil) {
		return nil, cluster.ErrSameID
	}
	if err != nil {
		return nil, fmt.Errorf("register the node: %w", err)
	}
	return infosOf(records), nil
}

// Nodes implements [cluster.Directory].
func (d Directory) Nodes(ctx context.Context) ([]cluster.Info, error) {
	records, err := nodeScript.Run(ctx, d.client.conn(ctx), d.nodesKey(), "", "", "", "", 0).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	return infosOf(records), nil
}

func infosOf(records []string) []cluster.Info {
	all := make([]cluster.Info, 0, len(records))
	for _, r := range records {
		var info cluster.Info
		if json.Unmarshal([]byte(r), &info) == nil { // else it is of a version that we do not know
			all = append(all, info)
		}
	}
	return all
}

// Leave implements [cluster.Directory].
func (d Directory) Leave(ctx context.Context, n cluster.Info) error {
	return nodeScript.Run(ctx, d.client.conn(ctx), d.nodesKey(), n.ID, n.Boot, n.Address, "", 0).Err()
}

// Claim implements [cluster.Directory].
func (d Directory) Claim(ctx context.Context, c cluster.Claim, ttl time.Duration) (cluster.Claim, error) {
	return claimOf(c.Name, originScript.Run(ctx, d.client.conn(ctx), d.originKey(c.Name), originArgs(c, ttl, true)...))
}

func originArgs(c cluster.Claim, ttl time.Duration, isNew bool) []any {
	mode := "0"
	if isNew {
		mode = "1"
	}
	return []any{c.Node, strconv.FormatUint(c.Epoch, 10), c.User, c.Room, ttl.Milliseconds(), mode}
}

func claimOf(n relay.Name, cmd *goredis.Cmd) (cluster.Claim, error) {
	f, err := cmd.StringSlice()
	if err != nil {
		return cluster.Claim{}, fmt.Errorf("claim %s: %w", n, err)
	}
	if len(f) < 4 {
		return cluster.Claim{}, fmt.Errorf("claim %s: %d fields", n, len(f))
	}
	epoch, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return cluster.Claim{}, fmt.Errorf("claim %s: epoch: %w", n, err)
	}
	return cluster.Claim{Name: n, Node: f[0], Epoch: epoch, User: f[2], Room: f[3]}, nil
}

// Renew implements [cluster.Directory], with one round trip per server.
func (d Directory) Renew(ctx context.Context, held []cluster.Claim, ttl time.Duration) ([]cluster.Claim, error) {
	stand := make([]cluster.Claim, len(held))
	for _, load := range [...]bool{false, true} {
		cmds := make([]*goredis.Cmd, len(held))
		_, err := d.client.conn(ctx).Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for i, c := range held {
				if load {
					cmds[i] = originScript.Eval(ctx, pipe, d.originKey(c.Name), originArgs(c, ttl, false)...)
				} else {
					cmds[i] = originScript.EvalSha(ctx, pipe, d.originKey(c.Name), originArgs(c, ttl, false)...)
				}
			}
			return nil
		})
		if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") && !load {
			continue // a server has forgotten its scripts: send them along
		}
		if err != nil {
			return nil, fmt.Errorf("renew streams: %w", err)
		}
		for i, cmd := range cmds {
			if stand[i], err = claimOf(held[i].Name, cmd); err != nil {
				return nil, err
			}
		}
		break
	}
	return stand, nil
}

// Release implements [cluster.Directory].
func (d Directory) Release(ctx context.Context, c cluster.Claim) error {
	return originDropScript.Run(ctx, d.client.conn(ctx), d.originKey(c.Name), c.Node, strconv.FormatUint(c.Epoch, 10)).Err()
}

// Lookup implements [cluster.Directory].
func (d Directory) Lookup(ctx context.Context, n relay.Name) (cluster.Claim, bool, error) {
	f, err := d.client.conn(ctx).HGetAll(ctx, d.originKey(n)[0]).Result()
	if err != nil {
		return cluster.Claim{}, false, fmt.Errorf("look up %s: %w", n, err)
	}
	epoch, err := strconv.ParseUint(f["epoch"], 10, 64)
	if err != nil || f["node"] == "" {
		return cluster.Claim{}, false, nil
	}
	return cluster.Claim{Name: n, Node: f["node"], Epoch: epoch, User: f["user"], Room: f["room"]}, true, nil
}
